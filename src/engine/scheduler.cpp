#include "engine/scheduler.hpp"

#include "core/error.hpp"
#include "kernels/args.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::int64_t kPage = kernels::kPageTokens;

std::int64_t pages_for(std::int64_t tokens) { return (tokens + kPage - 1) / kPage; }

}  // namespace

Scheduler::Scheduler(const BatchPolicy& policy, int pages) : policy_(policy), pool_(pages) {
    expect(policy.max_rows >= policy.max_sequences && policy.prefill_chunk >= 1 &&
               policy.max_sequences >= 1 && pages >= 1,
           "batch policy: {} sequences, {} rows, chunks of {}, {} pages", policy.max_sequences,
           policy.max_rows, policy.prefill_chunk, pages);
}

int Scheduler::longest_sequence() const { return static_cast<int>(pool_.size() * kPage); }

bool Scheduler::wants_more() const { return waiting() < 2 * policy_.max_sequences; }

Ticket Scheduler::admit(std::vector<Token> tokens) {
    const auto last = static_cast<std::int64_t>(tokens.size()) - 1;
    return admit(std::move(tokens), last);
}

Ticket Scheduler::admit(std::vector<Token> tokens, std::int64_t wanted) {
    const auto size = static_cast<std::int64_t>(tokens.size());
    expect(size > 0 && size <= longest_sequence() && wanted >= 0 && wanted < size,
           "a sequence of {} tokens, wanted from {} on, in {} pages", size, wanted, pool_.size());
    auto sequence = std::make_unique<Sequence>();
    sequence->ticket = next_ticket_++;
    sequence->tokens = std::move(tokens);
    sequence->wanted = wanted;
    note_masked(*sequence, 0);
    waiting_.push_back(std::move(sequence));
    return waiting_.back()->ticket;
}

Scheduler::Work Scheduler::next() {
    for (const auto& sequence : running_) sequence->rows = 0;
    const auto decoding = std::ranges::count_if(running_, [](const auto& s) { return s->pending() == 1; });
    int room = policy_.max_rows - static_cast<int>(decoding);  // for rows of prompts
    for (std::size_t i = 0; i < running_.size(); ++i) {
        Sequence& sequence = *running_[i];
        const bool decodes = sequence.pending() == 1;
        const int rows =
            decodes
                ? 1
                : static_cast<int>(std::min<std::int64_t>({sequence.pending(), policy_.prefill_chunk, room}));
        if (rows == 0 || !grow(i, sequence.computed + rows)) continue;
        sequence.rows = rows;
        if (!decodes) room -= rows;
    }
    start_waiting(room);
    Work work;
    for (const auto& sequence : running_) add_rows(*sequence, work);
    expect(empty() || !work.step.tokens.empty(), "nothing can run: {} sequences, {} pages held",
           running_.size(), pool_.held());
    return work;
}

// Pages for the first `tokens` of the sequence, taken from younger ones if need be; false: it must wait.
bool Scheduler::grow(std::size_t index, std::int64_t tokens) {
    Sequence& sequence = *running_[index];
    while (static_cast<std::int64_t>(sequence.pages.size()) < pages_for(tokens)) {
        if (const auto page = pool_.take()) {
            sequence.pages.push_back(*page);
        } else if (!preempt_after(index)) {
            return false;
        }
    }
    return true;
}

bool Scheduler::preempt_after(std::size_t index) {
    if (running_.size() == index + 1) return false;
    preempt(running_.size() - 1);
    return true;
}

void Scheduler::preempt(std::size_t index) {
    Sequence& sequence = *running_[index];
    release_pages(sequence);
    sequence.computed = 0;
    sequence.published = 0;
    ++preemptions_;
    waiting_.push_front(std::move(running_[index]));
    running_.erase(running_.begin() + static_cast<std::ptrdiff_t>(index));
}

// A waiting sequence starts when all its present tokens find room, so that starting it preempts nobody soon.
void Scheduler::start_waiting(int room) {
    while (room > 0 && !waiting_.empty() && running() < policy_.max_sequences) {
        Sequence& sequence = *waiting_.front();
        reuse_prefix(sequence);
        const std::int64_t missing = pages_for(static_cast<std::int64_t>(sequence.tokens.size())) -
                                     static_cast<std::int64_t>(sequence.pages.size());
        if (missing > pool_.available()) {
            release_pages(sequence);
            sequence.computed = 0;
            sequence.published = 0;
            return;
        }
        shared_tokens_ += sequence.computed;
        running_.push_back(std::move(waiting_.front()));
        waiting_.pop_front();
        const auto rows = std::min<std::int64_t>({sequence.pending(), policy_.prefill_chunk, room});
        expect(grow(running_.size() - 1, sequence.computed + rows),
               "no page for a sequence that was promised one");
        sequence.rows = static_cast<int>(rows);
        room -= sequence.rows;
    }
}

// Pages are shared up to the first position whose logits are wanted: those rows must be computed.
void Scheduler::reuse_prefix(Sequence& sequence) {
    if (!policy_.share_prefixes) return;
    const std::span<const Token> tokens = sequence.tokens;
    std::optional<PageId> before;
    while (sequence.computed + kPage <= sequence.wanted) {
        const auto page =
            pool_.find(before, tokens.subspan(static_cast<std::size_t>(sequence.computed), kPage));
        if (!page) break;
        sequence.pages.push_back(*page);
        sequence.computed += kPage;
        ++sequence.published;
        before = page;
    }
}

// The end of a text is given up before its beginning, which more texts share.
void Scheduler::release_pages(Sequence& sequence) {
    for (auto page = sequence.pages.rbegin(); page != sequence.pages.rend(); ++page) pool_.give_back(*page);
    sequence.pages.clear();
}

void Scheduler::note_masked(Sequence& sequence, std::size_t from) const {
    if (!policy_.masked) return;
    for (std::size_t position = from; position < sequence.tokens.size(); ++position) {
        if (sequence.tokens[position] == *policy_.masked)
            sequence.masked.push_back(static_cast<std::int32_t>(position));
    }
}

void Scheduler::add_rows(const Sequence& sequence, Work& work) {
    if (sequence.rows == 0) return;
    Step& step = work.step;
    const std::int64_t context = sequence.computed + sequence.rows;
    step.sequences.push_back({static_cast<std::int32_t>(step.tokens.size()), sequence.rows,
                              static_cast<std::int32_t>(context),
                              static_cast<std::int32_t>(step.pages.size())});
    StepSequence& added = step.sequences.back();
    added.first_masked = static_cast<std::int32_t>(step.masked.size());
    const auto visible = std::ranges::lower_bound(sequence.masked, context);
    step.masked.insert(step.masked.end(), sequence.masked.begin(), visible);
    added.masked = static_cast<std::int32_t>(visible - sequence.masked.begin());
    const auto pages = static_cast<std::ptrdiff_t>(pages_for(context));
    step.pages.insert(step.pages.end(), sequence.pages.begin(), sequence.pages.begin() + pages);
    for (std::int64_t position = sequence.computed; position < context; ++position) {
        if (position >= sequence.wanted) {
            step.logit_rows.push_back(static_cast<std::int32_t>(step.tokens.size()));
            work.sampled.push_back(sequence.ticket);
        }
        step.tokens.push_back(sequence.tokens[static_cast<std::size_t>(position)]);
        step.positions.push_back(static_cast<std::int32_t>(position));
        const PageId page = sequence.pages[static_cast<std::size_t>(position / kPage)];
        step.slots.push_back(static_cast<std::int32_t>(page * kPage + position % kPage));
    }
    (sequence.pending() == 1 ? work.decode_rows : work.prefill_rows) += sequence.rows;
}

void Scheduler::ran() {
    for (const auto& sequence : running_) {
        sequence->computed += sequence->rows;
        sequence->rows = 0;
        sequence->wanted = std::max(sequence->wanted, sequence->computed);
        if (policy_.share_prefixes) publish_full_pages(*sequence);
    }
}

void Scheduler::publish_full_pages(Sequence& sequence) {
    const std::span<const Token> tokens = sequence.tokens;
    for (; (sequence.published + 1) * kPage <= sequence.computed; ++sequence.published) {
        const auto index = static_cast<std::size_t>(sequence.published);
        std::optional<PageId> before;
        if (index > 0) before = sequence.pages[index - 1];
        pool_.publish(sequence.pages[index], before, tokens.subspan(index * kPage, kPage));
    }
}

void Scheduler::append(Ticket ticket, Token token) {
    Sequence& sequence = find(ticket);
    sequence.tokens.push_back(token);
    note_masked(sequence, sequence.tokens.size() - 1);
}

void Scheduler::finish(Ticket ticket) {
    const auto is_meant = [ticket](const auto& sequence) { return sequence->ticket == ticket; };
    if (std::erase_if(waiting_, is_meant) > 0) return;  // it held nothing
    release_pages(find(ticket));
    std::erase_if(running_, is_meant);
}

const std::vector<Token>& Scheduler::tokens(Ticket ticket) const { return find(ticket).tokens; }

Scheduler::Sequence& Scheduler::find(Ticket ticket) const {
    const auto found =
        std::ranges::find_if(running_, [ticket](const auto& s) { return s->ticket == ticket; });
    expect(found != running_.end(), "sequence {} is not running", ticket);
    return **found;
}

}  // namespace sluice
