// What a Generator makes of requests besides their tokens: which are computed, and where a run goes on that
// was stopped.
#include "core/error.hpp"
#include "engine/generation.hpp"

#include <gtest/gtest.h>

#include <algorithm>
#include <set>
#include <string>
#include <utility>

namespace sluice::test {
namespace {

Sampling drawn(int tokens, std::uint64_t seed) {
    Sampling sampling;
    sampling.max_new_tokens = tokens;
    sampling.seed = seed;
    return sampling;
}

// Completion number `index` of a request of `n`; each has a name of its own, so that a map can hold them.
Request numbered(Request request, int index, int n) {
    request.id += "#" + std::to_string(index);
    request.index = index;
    request.sampling.n = n;
    return request;
}

TEST(Generator, CompletionNumberKIsDrawnWithTheSeedAfterK) {
    const Request asked = text_request("a", "First Citizen:", drawn(8, ~std::uint64_t{0}));
    std::vector<Request> requests;
    for (int k = 0; k < 3; ++k) requests.push_back(numbered(asked, k, 3));
    for (std::uint64_t k = 0; k < 3; ++k) {
        Request single = text_request("single-" + std::to_string(k), "First Citizen:", drawn(8, 0));
        single.sampling.seed = ~std::uint64_t{0} + k;
        requests.push_back(single);
    }
    RunSettings settings;
    settings.streams = true;  // each is computed
    const RunResult result = run_requests(settings, requests);
    std::set<std::vector<Token>> different;
    for (int k = 0; k < 3; ++k) {
        const Answer& numbered_answer = result.answers.at("a#" + std::to_string(k));
        EXPECT_EQ(numbered_answer.tokens, result.answers.at("single-" + std::to_string(k)).tokens);
        EXPECT_EQ(numbered_answer.completion.index, k);
        EXPECT_EQ(numbered_answer.completion.n, 3);
        different.insert(numbered_answer.tokens);
    }
    EXPECT_EQ(different.size(), 3U);
}

// What names an answer, and what must be that of the request.
void expect_addressed(const Answer& answer, const Request& request) {
    EXPECT_EQ(answer.completion.id_json, request.id_json);
    EXPECT_EQ(answer.completion.meta_json, request.meta_json);
    EXPECT_EQ(answer.completion.index, request.index);
    EXPECT_EQ(answer.completion.n, request.sampling.n);
    EXPECT_EQ(answer.completion.ordinal, request.ordinal);
    EXPECT_EQ(answer.completion.api, request.api);
    EXPECT_EQ(answer.completion.api_model, request.api_model);
}

std::vector<Request> equal_requests() {
    std::vector<Request> requests;
    for (int i = 0; i < 24; ++i) {
        Sampling sampling = drawn(6, static_cast<std::uint64_t>(i % 3));
        if (i % 3 == 1) sampling.temperature = 0;
        if (i % 3 == 1) sampling.seed = static_cast<std::uint64_t>(i);  // of no consequence
        if (i % 3 == 2) sampling.logprobs = 2;
        Request request = text_request("equal-" + std::to_string(i), "First Citizen:\n", sampling);
        request.meta_json = std::to_string(i);
        request.ordinal = i;
        request.api = i % 2 == 0 ? Api::Chat : Api::None;
        request.api_model = "model-" + std::to_string(i);
        requests.push_back(request);
    }
    return requests;
}

// With few at a time the later ones find the answer kept; with many they are attached.
TEST(Generator, EqualRequestsAreComputedOnce) {
    const std::vector<Request> requests = equal_requests();
    RunSettings settings;
    settings.streams = true;
    const RunResult each = run_requests(settings, requests);
    EXPECT_EQ(each.tally.answered_from_equal, 0);
    settings.streams = false;
    for (const int lookahead : {1, 1000}) {
        settings.policy.max_sequences = lookahead == 1 ? 1 : 16;
        settings.policy.lookahead_sequences = lookahead;
        const RunResult once = run_requests(settings, requests);
        EXPECT_EQ(transcript(once), transcript(each));
        EXPECT_EQ(once.tally.answered, 24);
        EXPECT_EQ(once.tally.answered_from_equal, 20) << "of one kind, two shapes are shown";
        EXPECT_EQ(once.tally.completion_tokens, each.tally.completion_tokens);
        EXPECT_LE(once.tally.decode_rows, each.tally.decode_rows / 6);
        for (const Request& request : requests) expect_addressed(once.answers.at(request.id), request);
    }
}

// Everything that decides how a completion ends: EOS, stop strings, the length; penalties, log-probabilities,
// several completions of one request, and equal ones.
std::vector<Request> all_kinds() {
    std::vector<Request> requests;
    for (int i = 0; i < 8; ++i) {
        Sampling sampling = drawn(3 + 2 * i, static_cast<std::uint64_t>(i));
        sampling.ignore_eos = i % 2 == 0;
        if (i % 4 == 1) sampling.stop = {"e", "\n\n"};
        if (i % 4 == 2) sampling.repetition_penalty = 1.3F;
        if (i % 3 == 0) sampling.logprobs = 3;
        const std::string id = std::to_string(i);
        const Request asked = text_request(id, "Line " + std::to_string(i / 2) + ":\n", sampling);
        for (int k = 0; k < 2; ++k) requests.push_back(numbered(asked, k, 2));
        Request equal = asked;
        equal.id = "equal-" + id;
        equal.id_json = "\"" + equal.id + "\"";
        requests.push_back(equal);
    }
    return requests;
}

// A token that ends completions here, so that some end by it.
Token ending_token(const RunResult& result) {
    const std::vector<Token>& tokens = result.answers.at("3#0").tokens;
    return tokens[tokens.size() / 2];
}

// Before what is known already: an answer that went further is found first.
void remember(const RunResult& part, std::vector<PartialAnswer>& known) {
    std::vector<PartialAnswer> newer = part.unfinished;
    for (const auto& [id, answer] : part.answers) newer.push_back(partial_of(answer));
    known.insert(known.begin(), newer.begin(), newer.end());
}

// Twice: equal requests share what is left of the one that was computed, and then again.
TEST(Generator, AStoppedRunGoesOnWhereItStood) {
    const std::vector<Request> requests = all_kinds();
    RunSettings settings;
    settings.keep_logprobs = false;  // those of an earlier run are not known
    settings.end_of_turn = {ending_token(run_requests(settings, requests))};
    const RunResult whole = run_requests(settings, requests);
    std::size_t most = 0;
    bool stopped = true;
    for (int steps = 1; stopped; ++steps) {
        ASSERT_LT(steps, 60);
        RunSettings part = settings;
        part.steps = steps;
        std::int64_t rows = 0;
        for (int stop = 0; stop < 2; ++stop) {
            const RunResult result = run_requests(part, requests);
            stopped = result.answers.size() < requests.size();
            most = std::max(most, result.unfinished.size());
            remember(result, part.earlier);
            rows += result.tally.decode_rows;
        }
        part.steps = -1;
        const RunResult rest = run_requests(part, requests);
        rows += rest.tally.decode_rows;
        EXPECT_EQ(transcript(rest), transcript(whole)) << "stopped after " << steps << " steps";
        for (const auto& [id, answer] : whole.answers) EXPECT_EQ(rest.answers.at(id).tokens, answer.tokens);
        EXPECT_LE(rows, whole.tally.decode_rows) << "a token was computed twice";
    }
    EXPECT_GT(most, 12U) << "too few were on their way to tell anything";
    EXPECT_LE(most, 16U) << "equal requests have one in common";
}

TEST(Generator, TokensThatCannotBeTheRequestsAreIgnored) {
    const Request request = text_request("a", "First Citizen:", drawn(6, 1));
    Request showing = request;
    showing.sampling.logprobs = 1;
    RunSettings settings;
    const RunResult sound = run_requests(settings, {request});
    const RunResult shown = run_requests(settings, {showing});
    const PartialAnswer good = partial_of(sound.answers.at("a"));
    const auto run_after = [&](const Request& asked, const PartialAnswer& earlier) {
        settings.earlier = {earlier};
        return run_requests(settings, {asked});
    };
    EXPECT_EQ(run_after(request, good).tally.prefill_rows, 0);
    std::vector<PartialAnswer> bad(4, good);
    bad[0].tokens[2] = -1;
    bad[1].tokens[2] = 1 << 30;
    bad[2].tokens.push_back(5);
    bad[3].logprobs.resize(3);
    for (const PartialAnswer& earlier : bad)
        EXPECT_EQ(transcript(run_after(request, earlier)), transcript(sound));
    PartialAnswer without = partial_of(shown.answers.at("a"));
    ASSERT_EQ(without.logprobs.size(), 6U);
    without.logprobs.pop_back();
    EXPECT_EQ(transcript(run_after(showing, without)), transcript(shown));
}

// With room for three answers beyond the first that is missing, and requests that would start in the other
// order.
TEST(Generator, RequestsWaitUntilTheirOrdinalHasRoom) {
    std::vector<Request> requests;
    for (int i = 0; i < 12; ++i) {
        requests.push_back(text_request("r" + std::to_string(10 + i), "Line " + std::to_string(i) + ":",
                                        drawn(2 + i, static_cast<std::uint64_t>(i))));
        requests.back().ordinal = i;
    }
    RunSettings settings;
    settings.policy.max_sequences = 2;
    const std::string expected = transcript(run_requests(settings, requests));
    std::set<std::int64_t> answered;
    std::int64_t first_missing = 0;
    settings.on_answer = [&](const Answer& answer) {
        EXPECT_LT(answer.completion.ordinal, first_missing + 3);
        answered.insert(answer.completion.ordinal);
        while (answered.contains(first_missing)) ++first_missing;
    };
    settings.has_room = [&](std::int64_t ordinal) { return ordinal < first_missing + 3; };
    EXPECT_EQ(transcript(run_requests(settings, requests)), expected);
    EXPECT_EQ(first_missing, 12);
}

TEST(Generator, KeepsLogprobsForThoseWhoAsk) {
    Sampling shown = drawn(4, 1);
    shown.logprobs = 2;
    RunSettings settings;
    settings.keep_logprobs = false;
    const RunResult result =
        run_requests(settings, {text_request("a", "First", drawn(4, 1)), text_request("b", "First", shown)});
    EXPECT_TRUE(result.answers.at("a").logprobs.empty());
    EXPECT_EQ(result.answers.at("b").logprobs.size(), 4U);
    EXPECT_EQ(result.answers.at("a").tokens, result.answers.at("b").tokens);
}

// A device works on the next step while an answer is written; but nothing is left for after the last one.
TEST(Generator, AnswersAreGivenWhileTheNextStepRuns) {
    std::string events;
    RunSettings settings;
    settings.on_step = [&] { events += "b"; };
    settings.limits = [&](const StepCost&) {
        events += "e";
        return std::pair(16, 128);
    };
    settings.on_answer = [&](const Answer&) { events += "a"; };
    run_requests(settings,
                 {text_request("short", "One", drawn(2, 1)), text_request("long", "Two", drawn(4, 2))});
    EXPECT_EQ(events, "bebebaebea");
}

// The step that runs while an answer cannot be written is finished first, or the other rank would wait for
// ever.
TEST(Generator, AnErrorBesideAStepLeavesTheRanksTogether) {
    RunSettings settings;
    settings.ranks = 2;
    settings.on_answer = [](const Answer& answer) {
        require(answer.completion.id != "short", ExitCode::Usage, "the disk is full");
    };
    EXPECT_THROW(run_requests(settings, {text_request("short", "One", drawn(2, 1)),
                                         text_request("long", "Two", drawn(9, 2))}),
                 Error);
}

// Each is refused, but only after it was looked at: what runs is not held up by all of them at once.
TEST(Generator, LongInputsAreAdmittedBetweenSteps) {
    std::vector<Request> requests;
    for (int i = 0; i < 4; ++i) {
        const std::vector<Token> too_long(std::size_t{1} << 20, i);
        requests.push_back(token_request(std::to_string(i), too_long, drawn(1, 1)));
    }
    EXPECT_GE(run_requests({}, requests).rounds, 3);
    for (Request& request : requests) std::get<std::vector<Token>>(request.input).resize(20000);
    EXPECT_EQ(run_requests({}, requests).rounds, 0) << "the run ends with its first look at the input";
}

TEST(Generator, SaysSoWhileThereIsNothingToDo) {
    RunSettings settings;
    settings.quiet = 3;
    const RunResult result = run_requests(settings, {text_request("a", "First", drawn(2, 1))});
    EXPECT_EQ(result.answers.size(), 1U);
    EXPECT_EQ(result.idle_calls, 3);
}

}  // namespace
}  // namespace sluice::test
