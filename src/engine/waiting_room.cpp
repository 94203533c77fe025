#include "engine/waiting_room.hpp"

#include "core/error.hpp"
#include "kernels/args.hpp"

#include <algorithm>
#include <cstddef>
#include <limits>

namespace sluice {
namespace {

constexpr std::int64_t kPage = kernels::kPageTokens;
constexpr std::int64_t kNotBegun = std::numeric_limits<std::int64_t>::max();

}  // namespace

struct WaitingRoom::Node {
    Node* above = nullptr;
    std::int64_t begun = kNotBegun;  // the first start from below it
    Precedence precedence;           // its own `begun`, and work and ticket of the first below it
    const Key* key = nullptr;        // its place in above->below
    std::int64_t held_back_in = 0;   // the round
    // An inner node: what is below it, and the tokens that all below it begin with.
    std::map<Key, std::unique_ptr<Node>> below;
    std::map<Precedence, Node*> in_order;
    std::int64_t pages = 0;
    std::vector<Token> own;  // the last of those pages: where the node above ends, these go on
    // A leaf: its sequence.
    std::span<const Token> tokens;  // in whole pages
    std::int64_t entered = 0;       // starts before

    bool is_leaf() const { return below.empty(); }
    Ticket ticket() const { return std::get<2>(precedence); }  // a leaf's
    // The tokens after those of the node above.
    std::span<const Token> rest() const { return is_leaf() ? after(above->pages) : own; }
    std::span<const Token> after(std::int64_t begin) const {  // a leaf's
        return tokens.subspan(static_cast<std::size_t>(begin * kPage));
    }
    // The branch that a text of this rest takes.
    Key key_of(std::span<const Token> rest) const {
        if (rest.empty()) return {{}, ticket()};
        return {{rest.begin(), rest.begin() + kPage}, -1};
    }
};

WaitingRoom::WaitingRoom(std::int64_t patience) : patience_(patience), root_(std::make_unique<Node>()) {}

WaitingRoom::~WaitingRoom() = default;

void WaitingRoom::enter(Ticket ticket, std::span<const Token> beginning, std::int64_t work) {
    expect(leaves_.empty() || leaves_.rbegin()->first < ticket, "ticket {} comes after ticket {}", ticket,
           leaves_.empty() ? 0 : leaves_.rbegin()->first);
    auto leaf = std::make_unique<Node>();
    leaf->precedence = {kNotBegun, -work, ticket};
    leaf->tokens = beginning.first(beginning.size() / kPage * kPage);
    leaf->entered = starts_;
    leaves_[ticket] = leaf.get();
    hang(std::move(leaf));
}

// Goes down as far as others begin alike.
void WaitingRoom::hang(std::unique_ptr<Node> leaf) {
    Node* node = root_.get();
    for (;;) {
        const std::span<const Token> rest = leaf->after(node->pages);
        const auto [place, is_free] = node->below.try_emplace(leaf->key_of(rest));
        if (is_free) {
            leaf->above = node;
            leaf->key = &place->first;
            node->in_order.emplace(leaf->precedence, leaf.get());
            place->second = std::move(leaf);
            order_again(node);
            return;
        }
        const std::span<const Token> other = place->second->rest();
        const auto alike = (std::ranges::mismatch(rest, other).in1 - rest.begin()) / kPage;
        const bool ends_there = alike * kPage == std::ssize(other);
        if (place->second->is_leaf() || !ends_there) split(place->second, node->pages + alike);
        node = place->second.get();
    }
}

// Puts a node of so many pages between a node and the one above it.
void WaitingRoom::split(std::unique_ptr<Node>& place, std::int64_t pages) {
    auto node = std::make_unique<Node>();
    Node& lower = *place;
    const std::span<const Token> rest = lower.rest();
    const std::ptrdiff_t end = (pages - lower.above->pages) * kPage;
    node->above = lower.above;
    node->begun = lower.begun;  // whoever started from here hung below
    node->precedence = lower.precedence;
    node->key = lower.key;
    node->pages = pages;
    node->own.assign(rest.begin(), rest.begin() + end);
    node->above->in_order[node->precedence] = node.get();
    node->in_order.emplace(lower.precedence, &lower);
    if (!lower.is_leaf()) lower.own.erase(lower.own.begin(), lower.own.begin() + end);
    lower.above = node.get();
    lower.key = &node->below.emplace(lower.key_of(lower.rest()), std::move(place)).first->first;
    place = std::move(node);
}

void WaitingRoom::order_again(Node* node) {
    for (; node->above != nullptr; node = node->above) {
        const auto& [first, work, ticket] = node->in_order.begin()->first;
        const Precedence precedence{node->begun, work, ticket};
        if (precedence == node->precedence) return;
        node->above->in_order.erase(node->precedence);
        node->above->in_order.emplace(precedence, node);
        node->precedence = precedence;
    }
}

void WaitingRoom::leave(Ticket ticket) {
    const auto leaf = leaves_.find(ticket);
    expect(leaf != leaves_.end(), "sequence {} does not wait", ticket);
    take_away(*leaf->second);
    leaves_.erase(leaf);
}

// With the nodes that stood for it alone.
void WaitingRoom::take_away(Node& leaf) {
    Node* node = &leaf;
    do {
        Node& above = *node->above;
        above.in_order.erase(node->precedence);
        above.below.erase(above.below.find(*node->key));
        node = &above;
    } while (node != root_.get() && node->below.empty());
    order_again(node);
}

void WaitingRoom::new_round() { ++round_; }

std::optional<Ticket> WaitingRoom::next() const {
    for (const auto& [ticket, leaf] : leaves_) {
        if (starts_ - leaf->entered < patience_) break;
        if (!is_held_back(*leaf)) return ticket;
    }
    const Node* const leaf = leaves_.empty() ? nullptr : first_free(*root_);
    return leaf != nullptr ? std::optional(leaf->ticket()) : std::nullopt;
}

bool WaitingRoom::is_held_back(const Node& leaf) const {
    for (const Node* node = &leaf; node != nullptr; node = node->above)
        if (node->held_back_in == round_) return true;
    return false;
}

const WaitingRoom::Node* WaitingRoom::first_free(const Node& node) const {
    if (node.held_back_in == round_) return nullptr;
    if (node.is_leaf()) return &node;
    for (const auto& [precedence, below] : node.in_order)
        if (const Node* leaf = first_free(*below)) return leaf;
    return nullptr;
}

void WaitingRoom::start(Ticket ticket) {
    for (Node* node = leaves_.at(ticket)->above; node != root_.get(); node = node->above) {
        if (node->begun != kNotBegun) break;  // and so are those above
        node->begun = starts_;
    }
    ++starts_;
    leave(ticket);
}

void WaitingRoom::hold_back(Ticket ticket, std::int64_t pages) {
    expect(pages > 0, "sequences that have no page in common are held back together");
    Node* node = leaves_.at(ticket);
    while (node->above->pages >= pages) node = node->above;
    node->held_back_in = round_;
}

}  // namespace sluice
