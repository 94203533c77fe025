#include "text/resume.hpp"

#include "core/error.hpp"
#include "text/line_reader.hpp"
#include "text/posix_file.hpp"

#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

void cut(const std::filesystem::path& path, std::int64_t size) {
    require(::truncate(path.c_str(), size) == 0, ExitCode::File, "cannot cut the torn last line off {}: {}",
            path.string(), std::strerror(errno));
}

// A line as far as it could be read.
struct Reading {
    bool is_json = false;
    std::optional<Answered> answered;
};

Reading read(const LineReader::Line& line) {
    if (!line.whole || line.too_long) return {};
    try {
        return {true, parse_answered(line.text)};
    } catch (const Error&) {
        return {};
    }
}

Finished scan_json(const std::filesystem::path& path) {
    const PosixFile file = open_to_read(path);
    LineReader reader(file.fd(), path.string(), kMostAnswerBytes);
    Finished finished;
    while (const auto line = reader.next()) {
        const Reading reading = read(*line);
        if (!reading.is_json && !reader.next()) {
            cut(path, line->begin);
            break;
        }
        require(reading.answered.has_value(), ExitCode::File,
                "{}:{}: not a completion or a score: the file was changed, or something else wrote it. "
                "Repair or remove the line, or start again with --overwrite",
                path.string(), line->number);
        finished.add(*reading.answered);
    }
    return finished;
}

Finished scan_txt(const std::filesystem::path& path) {
    const PosixFile file = open_to_read(path);
    LineReader reader(file.fd(), path.string(), kTxtError.size());  // only a line's beginning matters
    Finished finished;
    while (const auto line = reader.next()) {
        if (line->whole)
            finished.add_next(line->text.starts_with(kTxtError));
        else
            cut(path, line->begin);
    }
    return finished;
}

class Unfinished final : public PromptSource {
public:
    Unfinished(std::unique_ptr<PromptSource> lines, Finished finished)
        : lines_(std::move(lines)), finished_(std::move(finished)), leading_(finished_.leading()) {}

    std::optional<ParsedLine> next() override {
        while (!found()) look();
        std::optional<ParsedLine> line = std::exchange(line_, std::nullopt);
        if (line) std::visit([this](auto& item) { item.ordinal = next_ordinal_++; }, *line);
        return line;
    }

    // Passing over millions of finished lines takes its time: a while of it at once.
    bool ready(int milliseconds) override {
        for (int looks = 0; looks < kLooks && !found() && lines_->ready(milliseconds); ++looks) {
            look();
            milliseconds = 0;
        }
        return found();
    }

private:
    static constexpr int kLooks = 1000;

    bool found() const { return line_ || ended_; }

    void look() {
        line_ = lines_->next();
        ended_ = !line_;
        if (!line_) return;
        if (leading_ > 0) {
            --leading_;
            line_.reset();
        } else if (finished_.has(*line_)) {
            line_.reset();
        }
    }

    std::unique_ptr<PromptSource> lines_;
    Finished finished_;
    std::int64_t leading_;  // still to be passed over
    std::int64_t next_ordinal_ = 0;
    std::optional<ParsedLine> line_;  // not yet given out
    bool ended_ = false;
};

}  // namespace

void Finished::add(const Answered& answered) {
    answers_.insert(answered.key());
    scores_ += answered.scores;
    ++lines_;
    if (answered.index.value_or(0) == 0) ++requests_;
    if (answered.error) ++errors_;
}

void Finished::add_next(bool error) {
    ++leading_;
    ++lines_;
    ++requests_;
    if (error) ++errors_;
}

bool Finished::has(const ParsedLine& line) const {
    if (const auto* failed = std::get_if<FailedRequest>(&line))
        return answers_.contains(key_of(failed->id_json, failed->error));
    const auto& request = std::get<Request>(line);
    return answers_.contains(request.id_json) ||
           (request.sampling.n > 1 && answers_.contains(key_of(request.id_json, request.index)));
}

Finished scan_completions(const std::filesystem::path& path, OutputFormat format) {
    return format == OutputFormat::Txt ? scan_txt(path) : scan_json(path);
}

std::unique_ptr<PromptSource> skip_finished(std::unique_ptr<PromptSource> lines, Finished finished) {
    return std::make_unique<Unfinished>(std::move(lines), std::move(finished));
}

}  // namespace sluice
