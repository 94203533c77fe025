// Answers to lines of the output: in the order they come or in the requests' order, alone or with those that
// share their line.
#pragma once

#include "text/answer_lines.hpp"
#include "text/completion_file.hpp"
#include "text/partial_answers.hpp"
#include "text/score.hpp"

#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace sluice {

struct AnswerLayout {
    OutputFormat format = OutputFormat::AsAsked;
    bool ordered = false;     // lines in the order of their requests' ordinals
    std::int64_t window = 0;  // in order: how many answers from the next to be written may be on their way
    std::size_t most_bytes = std::size_t{256} << 20;  // in order: of lines that wait

    // Lines of txt have no ids: their place says what they answer.
    bool in_order() const { return ordered || format == OutputFormat::Txt; }
};

// Whoever asks has_room_for before starting a request keeps the memory for waiting answers bounded.
class AnswerWriter {
public:
    AnswerWriter(CompletionFile& file, const AnswerLayout& layout);

    // Each ordinal once. `partial` is what keep_unwritten() keeps of the completion while it waits. Scores
    // are jsonl, whatever the format. Errors: those of CompletionFile::write.
    void put(Completion completion, PartialAnswer partial);
    void put(const Score& score);

    bool has_room_for(std::int64_t ordinal) const;

    // Error records that were put, a line each.
    std::int64_t errors() const { return errors_; }

    // Completions that wait for an earlier one, or for another of their line.
    bool has_unwritten() const { return !groups_.empty() || !lines_.empty(); }
    // For a stop: they become partial answers of the file.
    void keep_unwritten();

private:
    // Completions that share a line.
    struct Siblings {
        std::vector<Completion> choices;  // by index, in place
        std::vector<PartialAnswer> partials = {};
        int missing = 0;
    };
    // A line, and the answers that it is.
    struct Line {
        std::string text;
        std::int64_t answers = 1;
        std::vector<PartialAnswer> partials = {};
    };

    void put_sibling(Completion completion, PartialAnswer partial);
    void put_line(std::int64_t ordinal, Line line);
    void write(Line line);

    CompletionFile& file_;
    AnswerLayout layout_;
    std::int64_t next_ = 0;                    // ordered: all before it are written
    std::map<std::int64_t, Siblings> groups_;  // by the ordinal of index 0
    std::map<std::int64_t, Line> lines_;       // by the ordinal of their first answer
    std::size_t bytes_ = 0;                    // of their texts
    std::int64_t errors_ = 0;
};

}  // namespace sluice
