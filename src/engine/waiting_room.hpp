// Which waiting sequence starts next. A pure class: tokens and integers.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <tuple>
#include <utility>
#include <vector>

namespace sluice {

// The name of an admitted sequence; later ones are larger.
using Ticket = std::int64_t;

// Sequences with common first pages start one after the other, so that the pages are still known when the
// next one needs them. Among strangers the longest work is first, so that a run does not end with few long
// ones; a group's work is its longest member's.
//
// The sequences are the leaves of a tree in which a node stands for the pages that all below it begin with.
// Everywhere in it, a group of which somebody started goes on before another begins. There are nodes only
// where texts part, so a header of many pages costs one look at its tokens when a sequence enters, and
// otherwise a call costs the number of such places, times the logarithm of the number of sequences.
class WaitingRoom {
public:
    // patience: whoever has seen that many others start goes first, the longest waiting of them. 0: all start
    // in the order of their tickets.
    explicit WaitingRoom(std::int64_t patience);
    ~WaitingRoom();

    // Tickets ascend. `beginning`: the tokens that may be shared with others, in whole pages (the rest is
    // ignored); they stay in place until the sequence leaves. `work`: in any unit.
    void enter(Ticket ticket, std::span<const Token> beginning, std::int64_t work);
    // Without having started.
    void leave(Ticket ticket);

    // Nobody is held back any more.
    void new_round();
    // Who starts next; none when all that wait are held back.
    std::optional<Ticket> next() const;
    void start(Ticket ticket);
    // The sequence waits until the next round, with all others that begin with its first `pages` pages.
    void hold_back(Ticket ticket, std::int64_t pages);

    std::int64_t size() const { return static_cast<std::int64_t>(leaves_.size()); }
    bool contains(Ticket ticket) const { return leaves_.contains(ticket); }

private:
    struct Node;
    using Key = std::pair<std::vector<Token>, Ticket>;  // a page; where no whole page is left, the ticket
    // The group that began earlier first, then most work (negative), then the earlier ticket.
    using Precedence = std::tuple<std::int64_t, std::int64_t, Ticket>;

    void hang(std::unique_ptr<Node> leaf);
    static void split(std::unique_ptr<Node>& place, std::int64_t pages);
    void take_away(Node& leaf);
    static void order_again(Node* node);
    bool is_held_back(const Node& leaf) const;
    const Node* first_free(const Node& node) const;

    std::int64_t patience_;
    std::unique_ptr<Node> root_;
    std::map<Ticket, Node*> leaves_;
    std::int64_t starts_ = 0, round_ = 1;
};

}  // namespace sluice
