// What is written of log-probabilities, and a file of scores taken up again.
#include "text/score.hpp"

#include "byte_tokenizer.hpp"
#include "core/json.hpp"
#include "support/scratch_folder.hpp"
#include "text/completion_file.hpp"
#include "text/request_json.hpp"
#include "text/token_logprobs.hpp"

#include <limits>

namespace sluice {
namespace {

Score sample() {
    Score score;
    score.id_json = "\"a\"";
    score.tokens = {4, 5, 6, 7};
    score.first = 2;
    score.logprobs = {-0.25F, -1.5F};
    return score;
}

TEST(TokenLogprobs, ShowTheTokensTextOrItsReplacement) {
    const ByteTokenizer tokenizer;
    EXPECT_EQ(
        to_json(tokenizer, std::vector<TokenLogprob>{{'"', -0.25F}, {0xE2, -3}, {300, 0}, {999, -1e-5F}}),
        "[{\"id\":34,\"token\":\"\\\"\",\"logprob\":-0.25},"
        "{\"id\":226,\"token\":\"\xEF\xBF\xBD\",\"logprob\":-3},"
        "{\"id\":300,\"token\":\"<special>\",\"logprob\":0},"
        "{\"id\":999,\"token\":\"\",\"logprob\":-1e-05}]");
    const std::vector<PositionLogprobs> positions{{{'a', -2}, {{'b', -1}, {'a', -2}}}, {{'c', -7}, {}}};
    EXPECT_EQ(to_json(tokenizer, positions),
              R"([{"id":97,"token":"a","logprob":-2,"top":[{"id":98,"token":"b","logprob":-1},)"
              R"({"id":97,"token":"a","logprob":-2}]},{"id":99,"token":"c","logprob":-7,"top":[]}])");
    EXPECT_EQ(to_json(tokenizer, std::vector<PositionLogprobs>{}), "[]");
}

TEST(TokenLogprobs, NumbersReadBackAsTheyWere) {
    for (const float value : {-0.1F, -1.0F / 3, -23.210823F, -1e-30F, -3.4028235e38F}) {
        EXPECT_EQ(Json::parse(to_json_number(value)).get<float>(), value);
        EXPECT_EQ(Json::parse(to_json_number(static_cast<double>(value) / 3)).get<double>(),
                  static_cast<double>(value) / 3);
    }
    EXPECT_EQ(to_json_number(-std::numeric_limits<float>::infinity()), "null");
    EXPECT_EQ(to_json_number(std::numeric_limits<double>::quiet_NaN()), "null");
}

TEST(ScoreLine, HasTheFieldsInOrderAndNoAbsentOnes) {
    Score score = sample();
    EXPECT_EQ(to_json_line(score), R"({"id":"a","tokens":[4,5,6,7],"logprobs":[null,null,-0.25,-1.5],)"
                                   R"("sum_logprob":-1.75,"perplexity":2.398875293967098,"token_count":2,)"
                                   R"("finish_reason":"stop"})");
    score.top_logprobs_json = "[null,null,[],[]]";
    score.meta_json = R"({"z":1.10})";
    const std::string line = to_json_line(score);
    EXPECT_NE(
        line.find(
            R"("token_count":2,"top_logprobs":[null,null,[],[]],"finish_reason":"stop","meta":{"z":1.10}})"),
        std::string::npos)
        << line;
}

TEST(ScoreLine, OfATextWithNothingToScoreHasNoPerplexity) {
    Score score = sample();
    score.tokens = {4};
    score.first = 1;
    score.logprobs.clear();
    EXPECT_EQ(to_json_line(score), R"({"id":"a","tokens":[4],"logprobs":[null],"sum_logprob":0,)"
                                   R"("perplexity":null,"token_count":0,"finish_reason":"stop"})");
}

TEST(ScoreLine, AnErrorRecord) {
    const FailedRequest failed{"p.txt:1", "\"p.txt:1\"", "p.txt:1", {"bad_utf8", "say \"why\""}, "[1]"};
    EXPECT_EQ(to_json_line(score_error(failed)),
              R"({"id":"p.txt:1","tokens":[],"logprobs":[],"sum_logprob":null,"perplexity":null,)"
              R"("token_count":0,"finish_reason":"error",)"
              R"("error":{"code":"bad_utf8","message":"say \"why\""},"meta":[1]})");
}

TEST(ScoreTotals, AddUpToThePerplexityOfAllTokens) {
    ScoreTotals totals = sample().totals();
    totals += {6, -6.25};
    EXPECT_EQ(totals.tokens, 8);
    EXPECT_DOUBLE_EQ(totals.perplexity(), std::exp(1.0));
}

// A run that goes on knows what the earlier ones scored.
TEST(ScoreFile, ResumesWithItsTotals) {
    const ScratchFolder folder;
    RunRecord record;
    record.add_text("job", "score");
    const auto begin = [&](const Score& score) {
        CompletionFile file({folder / "out", OutputMode::Resume});
        const Finished finished = file.begin(record);
        file.write(to_json_line(score));
        return finished;
    };
    EXPECT_EQ(begin(sample()).scores().tokens, 0);
    Request request;
    request.id_json = "3";
    EXPECT_EQ(begin(score_error(request, {"too_long", "m"})).scores().tokens, 2);
    Score more = sample();
    more.id_json = "4";
    more.logprobs = {-1};
    more.first = 3;
    begin(more);
    folder.put("out", content_of(folder / "out") + "{\"id\":5,\"tokens\":[1,2");  // torn
    more.id_json = "5";
    const Finished last = begin(more);
    EXPECT_EQ(last.lines(), 3);
    EXPECT_EQ(last.errors(), 1);
    EXPECT_EQ(last.scores().tokens, 3);
    EXPECT_EQ(last.scores().logprob, -2.75);
}

TEST(ScoreFile, CountsThatNoScoreHasAreRefused) {
    const ScratchFolder folder;
    const auto scan = [&](const std::string& count, const std::string& sum) {
        const std::string line = R"({"id":1,"sum_logprob":)" + sum + R"(,"token_count":)" + count +
                                 R"(,"finish_reason":"stop"})"
                                 "\n";
        return scan_completions(folder.put("out", line + line)).scores().tokens;
    };
    EXPECT_EQ(scan("2147483648", "-1.5"), std::int64_t{1} << 32);
    EXPECT_EQ(scan("0", "null"), 0);
    for (const char* count : {"9223372036854775807", "2147483649", "-1", "1.5", "\"1\""})
        EXPECT_THROW(scan(count, "-1.5"), Error) << count;
    EXPECT_THROW(scan("1", "\"-1.5\""), Error);
}

}  // namespace
}  // namespace sluice
