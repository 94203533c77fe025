#include "engine/scheduler.hpp"

#include "core/error.hpp"
#include "kernels/args.hpp"

#include <algorithm>

namespace sluice {
namespace {

constexpr std::int64_t kPage = kernels::kPageTokens;

std::int64_t pages_for(std::int64_t tokens) { return (tokens + kPage - 1) / kPage; }

// A sequence waits while at most this many times the lookahead start before it.
constexpr std::int64_t kPatience = 4;

constexpr std::int64_t kForeseen = 4 * kPage;  // tokens that a sequence grows by

}  // namespace

std::int64_t Scheduler::Sequence::missing_pages() const {
    return pages_for(static_cast<std::int64_t>(tokens.size())) - static_cast<std::int64_t>(pages.size());
}

// Half of it, and no more than kForeseen: many sequences end early, and what they may grow to at most is
// often a number that nobody expects.
std::int64_t Scheduler::Sequence::needed_pages() const {
    const auto size = static_cast<std::int64_t>(tokens.size());
    const std::int64_t growth = std::max<std::int64_t>(expected - size, 0);
    return pages_for(size + std::min((growth + 1) / 2, kForeseen)) - static_cast<std::int64_t>(pages.size());
}

Scheduler::Scheduler(const BatchPolicy& policy, int pages)
    : policy_(policy),
      sequences_at_once_(policy.max_sequences),
      step_rows_(policy.max_rows),
      pool_(pages),
      waiting_room_(policy.arrival_order ? 0 : kPatience * policy.lookahead_sequences) {
    expect(policy.max_rows >= policy.max_sequences && policy.prefill_chunk >= 1 &&
               policy.max_sequences >= 1 && pages >= 1,
           "batch policy: {} sequences, {} rows, chunks of {}, {} pages", policy.max_sequences,
           policy.max_rows, policy.prefill_chunk, pages);
    expect(policy.lookahead_sequences >= 1 && policy.lookahead_tokens >= 1,
           "batch policy: a lookahead of {} sequences, {} tokens", policy.lookahead_sequences,
           policy.lookahead_tokens);
}

void Scheduler::limit(int sequences, int rows) {
    expect(sequences >= 1 && sequences <= policy_.max_sequences && rows >= 1 && rows <= policy_.max_rows,
           "limits of {} sequences, {} rows within {}, {}", sequences, rows, policy_.max_sequences,
           policy_.max_rows);
    sequences_at_once_ = sequences;
    step_rows_ = rows;
}

int Scheduler::longest_sequence() const { return static_cast<int>(pool_.size() * kPage); }

bool Scheduler::wants_more() const {
    return waiting() < policy_.lookahead_sequences && waiting_tokens_ < policy_.lookahead_tokens;
}

Ticket Scheduler::admit(std::vector<Token> tokens, std::int64_t growth) {
    const auto last = static_cast<std::int64_t>(tokens.size()) - 1;
    return enter(std::move(tokens), last, growth);
}

Ticket Scheduler::admit_text(std::vector<Token> tokens, std::int64_t wanted) {
    return enter(std::move(tokens), wanted, 0);
}

// Expected work is counted in rows of a prompt: a token that is decoded takes a step of its own, and so do as
// many tokens of a prompt as fit a chunk.
Ticket Scheduler::enter(std::vector<Token> tokens, std::int64_t wanted, std::int64_t growth) {
    const auto size = static_cast<std::int64_t>(tokens.size());
    expect(size > 0 && size <= longest_sequence() && wanted >= 0 && wanted < size && growth >= 0,
           "a sequence of {} tokens, wanted from {} on, that grows by {}, in {} pages", size, wanted, growth,
           pool_.size());
    const Ticket ticket = next_ticket_++;
    Sequence& sequence = sequences_[ticket];
    sequence.ticket = ticket;
    sequence.tokens = std::move(tokens);
    sequence.wanted = wanted;
    sequence.expected = size + growth;
    note_masked(sequence, 0);
    const std::span<const Token> text = sequence.tokens;
    waiting_room_.enter(ticket, text.first(policy_.share_prefixes ? static_cast<std::size_t>(wanted) : 0),
                        size + growth * policy_.prefill_chunk);
    waiting_tokens_ += size;
    return ticket;
}

Scheduler::Work Scheduler::next() {
    for (Sequence* sequence : running_) sequence->rows = 0;
    const auto decoding = static_cast<int>(
        std::ranges::count_if(running_, [](const Sequence* s) { return s->pending() == 1; }));
    int room = std::min(std::max(step_rows_, 2 * decoding), policy_.max_rows) - decoding;  // for prompts
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
    for (const Sequence* sequence : running_) add_rows(*sequence, work);
    expect(empty() || !work.step.tokens.empty(), "nothing can run: {} sequences, {} pages held",
           running_.size(), pool_.held());
    return work;
}

// Pages for the first `tokens` of the sequence, taken from those that started later if need be; false: it
// must wait.
bool Scheduler::grow(std::size_t index, std::int64_t tokens) {
    Sequence& sequence = *running_[index];
    while (static_cast<std::int64_t>(sequence.pages.size()) < pages_for(tokens)) {
        if (const auto page = pool_.take()) {
            sequence.pages.push_back(*page);
        } else if (running_.size() > index + 1) {
            preempt_last();
        } else {
            return false;
        }
    }
    return true;
}

void Scheduler::preempt_last() {
    Sequence& sequence = *running_.back();
    running_.pop_back();
    release_pages(sequence);
    sequence.runs = false;
    ++preemptions_;
    preempted_.push_front(sequence.ticket);
    waiting_tokens_ += static_cast<std::int64_t>(sequence.tokens.size());
}

// A waiting sequence starts when its tokens, and some of what it may grow by, find room beside those of all
// that run, so that starting it preempts nobody soon. Alone it may have every page.
void Scheduler::start_waiting(int room) {
    waiting_room_.new_round();
    std::int64_t promised = promised_pages();
    while (room > 0 && running() < sequences_at_once_) {
        Sequence* const sequence = next_to_start();
        if (sequence == nullptr) return;
        reuse_prefix(*sequence);
        const std::int64_t awaited = preempted_.empty() ? awaited_pages(*sequence) : 0;
        if (awaited > 0) {
            release_pages(*sequence);
            waiting_room_.hold_back(sequence->ticket, awaited);
            continue;
        }
        if (!running_.empty() && sequence->needed_pages() + promised > pool_.available()) {
            release_pages(*sequence);
            return;
        }
        start(*sequence);
        const auto rows = std::min<std::int64_t>({sequence->pending(), policy_.prefill_chunk, room});
        expect(grow(running_.size() - 1, sequence->computed + rows),
               "no page for a sequence that was promised one");
        sequence->rows = static_cast<int>(rows);
        room -= sequence->rows;
        promised += sequence->needed_pages();
    }
}

// To those that run: they grow, and their prompts may be computed in several steps.
std::int64_t Scheduler::promised_pages() const {
    std::int64_t pages = 0;
    for (const Sequence* sequence : running_) pages += sequence->needed_pages();
    return pages;
}

Scheduler::Sequence* Scheduler::next_to_start() {
    const auto ticket = preempted_.empty() ? waiting_room_.next() : preempted_.front();
    return ticket ? &sequences_.at(*ticket) : nullptr;
}

// A running prompt may be about to compute what the sequence needs next: then it had better wait, with all
// that begin with as many pages as are returned; 0: it need not. Whoever is waited for has rows in this step,
// and nobody who starts meanwhile begins with those pages: so the wait ends.
std::int64_t Scheduler::awaited_pages(const Sequence& sequence) const {
    if (!policy_.share_prefixes) return 0;
    const auto next = static_cast<std::int64_t>(sequence.pages.size()) + 1;
    const std::int64_t needed = next * kPage;
    if (needed > sequence.wanted) return 0;
    for (const Sequence* other : running_) {
        if (other->rows == 0 || other->pending() == 1) continue;
        if (needed > static_cast<std::int64_t>(other->tokens.size())) continue;
        if (std::equal(sequence.tokens.begin(), sequence.tokens.begin() + needed, other->tokens.begin()))
            return next;
    }
    return 0;
}

void Scheduler::start(Sequence& sequence) {
    if (preempted_.empty()) {
        waiting_room_.start(sequence.ticket);
    } else {
        preempted_.pop_front();
    }
    shared_tokens_ += sequence.computed;
    waiting_tokens_ -= static_cast<std::int64_t>(sequence.tokens.size());
    sequence.runs = true;
    running_.push_back(&sequence);
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
    sequence.computed = 0;
    sequence.published = 0;
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
    for (Sequence* sequence : running_) {
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
        sequence.pages[index] =
            pool_.publish(sequence.pages[index], before, tokens.subspan(index * kPage, kPage));
    }
}

void Scheduler::append(Ticket ticket, Token token) {
    Sequence& sequence = find(ticket);
    sequence.tokens.push_back(token);
    note_masked(sequence, sequence.tokens.size() - 1);
}

void Scheduler::finish(Ticket ticket) {
    Sequence& sequence = find(ticket);
    if (sequence.runs) {
        release_pages(sequence);
        std::erase(running_, &sequence);
    } else {  // it holds nothing
        if (std::erase(preempted_, ticket) == 0) waiting_room_.leave(ticket);
        waiting_tokens_ -= static_cast<std::int64_t>(sequence.tokens.size());
    }
    sequences_.erase(ticket);
}

Scheduler::Sequence& Scheduler::find(Ticket ticket) {
    const auto found = sequences_.find(ticket);
    expect(found != sequences_.end(), "there is no sequence {}", ticket);
    return found->second;
}

}  // namespace sluice
