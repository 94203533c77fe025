// Which rows run next. A pure class: queues and integers; no tensors, ranks, files or clock.
#pragma once

#include "engine/page_pool.hpp"
#include "engine/waiting_room.hpp"
#include "model/step.hpp"

#include <cstdint>
#include <deque>
#include <map>
#include <optional>
#include <vector>

namespace sluice {

struct BatchPolicy {
    int max_sequences = 256;           // running at once
    int max_rows = 1024;               // of a step
    int prefill_chunk = 1024;          // most rows of one sequence in a step
    bool share_prefixes = true;        // pages of equal content are computed once
    std::optional<Token> masked = {};  // its keys are hidden from attention (ModelConfig::masked_token)
    // How far the order of starts looks ahead: more is asked for while fewer sequences, of fewer tokens
    // together, wait. Bounds memory.
    int lookahead_sequences = 1024;
    std::int64_t lookahead_tokens = 4 << 20;
    bool arrival_order = false;  // of starts; otherwise the WaitingRoom's own
};

class Scheduler {
public:
    Scheduler(const BatchPolicy& policy, int pages);

    // From now on, within the policy: no more sequences start than so many at once, and a step has at most so
    // many rows. But prompts get at least as many rows as sequences decode, as far as the policy's rows
    // allow: neither waits for the other.
    void limit(int sequences, int rows);

    // Most tokens a sequence may grow to: it must fit the cache alone.
    int longest_sequence() const;
    // Whether fewer sequences wait than the policy looks ahead.
    bool wants_more() const;
    bool empty() const { return sequences_.empty(); }

    // A sequence that is continued, by up to `growth` tokens (which are only expected, for the order of
    // starts): the logits after its last token are wanted.
    Ticket admit(std::vector<Token> tokens, std::int64_t growth = 0);
    // A text whose logits are wanted at every position from `wanted` on, each once.
    Ticket admit_text(std::vector<Token> tokens, std::int64_t wanted);

    struct Work {
        Step step;
        std::vector<Ticket> sampled;  // whose logits each of step.logit_rows gives
        int prefill_rows = 0, decode_rows = 0;
    };
    // Decoding sequences come first, a row each; the rest of the rows go to prompts, those that started first
    // before others, and then to sequences that start: preempted ones, then whom the WaitingRoom says, but
    // nobody whose next pages a running prompt is about to compute. A sequence that needs a page when none is
    // left takes it from the last that started, which is computed again later.
    Work next();
    // The step that next() planned was run: its rows are in the cache. Since then sequences may have been
    // admitted, but none finished.
    void ran();
    // The next token of a sequence that is continued, and was sampled.
    void append(Ticket ticket, Token token);
    // Running or waiting.
    void finish(Ticket ticket);

    const std::vector<Token>& tokens(Ticket ticket) const { return sequences_.at(ticket).tokens; }
    int running() const { return static_cast<int>(running_.size()); }
    int waiting() const { return static_cast<int>(sequences_.size()) - running(); }  // preempted ones too
    int pages_held() const { return pool_.held(); }
    int pages() const { return pool_.size(); }
    std::int64_t preemptions() const { return preemptions_; }
    std::int64_t shared_tokens() const { return shared_tokens_; }

private:
    struct Sequence {
        Ticket ticket = 0;
        std::vector<Token> tokens;
        std::vector<std::int32_t> masked;  // positions of masked tokens
        std::int64_t wanted = 0;           // the first position whose logits are wanted and were not given
        std::int64_t computed = 0;         // tokens whose keys are in the cache
        std::int64_t published = 0;        // pages known by content
        std::vector<PageId> pages;
        bool runs = false;
        int rows = 0;  // in the step being planned
        std::int64_t pending() const { return static_cast<std::int64_t>(tokens.size()) - computed; }
        std::int64_t expected = 0;           // tokens that it may grow to
        std::int64_t missing_pages() const;  // for its present tokens
        std::int64_t needed_pages() const;   // for those, and some of what it may grow by
    };

    Ticket enter(std::vector<Token> tokens, std::int64_t wanted, std::int64_t growth);
    bool grow(std::size_t index, std::int64_t tokens);
    void preempt_last();
    void start_waiting(int room);
    std::int64_t promised_pages() const;
    Sequence* next_to_start();
    std::int64_t awaited_pages(const Sequence& sequence) const;
    void start(Sequence& sequence);
    void reuse_prefix(Sequence& sequence);
    void release_pages(Sequence& sequence);
    void note_masked(Sequence& sequence, std::size_t from) const;
    static void add_rows(const Sequence& sequence, Work& work);
    void publish_full_pages(Sequence& sequence);
    Sequence& find(Ticket ticket);

    BatchPolicy policy_;
    int sequences_at_once_, step_rows_;  // limit()
    PagePool pool_;
    std::map<Ticket, Sequence> sequences_;
    std::vector<Sequence*> running_;  // in the order of their starts
    std::deque<Ticket> preempted_;    // of those that wait, in the order of their starts
    WaitingRoom waiting_room_;        // the others
    std::int64_t waiting_tokens_ = 0;
    Ticket next_ticket_ = 0;
    std::int64_t preemptions_ = 0, shared_tokens_ = 0;
};

}  // namespace sluice
