#include "text/answer_writer.hpp"

#include "core/error.hpp"

#include <algorithm>
#include <iterator>
#include <utility>

namespace sluice {

AnswerWriter::AnswerWriter(CompletionFile& file, const AnswerLayout& layout) : file_(file), layout_(layout) {
    expect(!layout_.in_order() || layout_.window > 0, "an ordered output needs a window");
}

void AnswerWriter::put(Completion completion, PartialAnswer partial) {
    if (completion.n > 1 && shape_of(completion.api, layout_.format) != Api::None)
        return put_sibling(std::move(completion), std::move(partial));
    errors_ += completion.error ? 1 : 0;
    Line line{answer_line({&completion, 1}, layout_.format)};
    line.partials.push_back(std::move(partial));
    put_line(completion.ordinal, std::move(line));
}

void AnswerWriter::put(const Score& score) {
    errors_ += score.error ? 1 : 0;
    put_line(score.ordinal, {to_json_line(score)});
}

void AnswerWriter::put_sibling(Completion completion, PartialAnswer partial) {
    const std::int64_t first = completion.ordinal - completion.index;
    const auto index = static_cast<std::size_t>(completion.index);
    const auto n = static_cast<std::size_t>(completion.n);
    Siblings& group = groups_[first];
    if (group.choices.empty())
        group = {std::vector<Completion>(n), std::vector<PartialAnswer>(n), completion.n};
    expect(index < n && group.choices.size() == n, "completion {} of {}: another of its request has {}",
           index, n, group.choices.size());
    group.choices[index] = std::move(completion);
    group.partials[index] = std::move(partial);
    if (--group.missing > 0) return;
    const bool failed =
        std::ranges::any_of(group.choices, [](const Completion& c) { return c.error.has_value(); });
    errors_ += failed ? 1 : 0;
    Line line{answer_line(group.choices, layout_.format), std::ssize(group.choices),
              std::move(group.partials)};
    groups_.erase(first);
    put_line(first, std::move(line));
}

void AnswerWriter::put_line(std::int64_t ordinal, Line line) {
    if (!layout_.in_order()) return write(std::move(line));
    bytes_ += line.text.size();
    const bool added = ordinal >= next_ && lines_.emplace(ordinal, std::move(line)).second;
    expect(added, "request number {} is answered twice", ordinal);
    while (!lines_.empty() && lines_.begin()->first == next_) {
        Line first = std::move(lines_.extract(lines_.begin()).mapped());
        next_ += first.answers;
        bytes_ -= first.text.size();
        write(std::move(first));
    }
}

void AnswerWriter::write(Line line) {
    file_.write(std::move(line.text));
    for (const PartialAnswer& partial : line.partials) file_.partials().drop(partial.fingerprint);
}

// Too many bytes may wait for a line that waits for its own last completions.
bool AnswerWriter::has_room_for(std::int64_t ordinal) const {
    if (!layout_.in_order() || ordinal == next_) return true;
    const auto group = groups_.find(next_);
    const std::int64_t together = group == groups_.end() ? 1 : std::ssize(group->second.choices);
    if (ordinal < next_ + together) return true;
    return ordinal < next_ + layout_.window && bytes_ < layout_.most_bytes;
}

void AnswerWriter::keep_unwritten() {
    const auto keep = [this](const std::vector<PartialAnswer>& partials) {
        for (const PartialAnswer& partial : partials) file_.partials().keep(partial);
    };
    for (const auto& [ordinal, group] : groups_) keep(group.partials);
    for (const auto& [ordinal, line] : lines_) keep(line.partials);
}

}  // namespace sluice
