#include "text/prompt_source.hpp"

#include "text/id_ledger.hpp"
#include "text/request_json.hpp"
#include "text/utf8.hpp"

#include <fmt/core.h>

#include <utility>

namespace sluice {
namespace {

class UniqueIds final : public PromptSource {
public:
    explicit UniqueIds(std::unique_ptr<PromptSource> lines) : lines_(std::move(lines)) {}

    std::optional<ParsedLine> next() override {
        auto line = lines_->next();
        if (line) std::visit([&](auto& item) { check_id(item, *line); }, *line);
        return line;
    }

    bool ready(int milliseconds) override { return lines_->ready(milliseconds); }

private:
    template <class Item>
    void check_id(Item& item, ParsedLine& line) {
        if (seen_.insert(item.id_json)) return;
        const std::string what = fmt::format("an earlier line has the id {}", clip_utf8(item.id_json, 80));
        RequestError error = error_at(item.where, "duplicate_id", what);
        if (const auto* request = std::get_if<Request>(&line))
            line = failed_request(*request, std::move(error));
        else
            std::get<FailedRequest>(line).error = std::move(error);
    }

    std::unique_ptr<PromptSource> lines_;
    IdLedger seen_;
};

class PartOfLines final : public PromptSource {
public:
    PartOfLines(std::unique_ptr<PromptSource> lines, Partition partition)
        : lines_(std::move(lines)), partition_(partition) {}

    std::optional<ParsedLine> next() override {
        while (!found()) take();
        return std::exchange(held_, std::nullopt);
    }

    // Passes over the others' lines, for next() must not wait for what follows them: some of them at once.
    bool ready(int milliseconds) override {
        for (int looks = 0; looks < kLooks && !found(); ++looks, milliseconds = 0) {
            if (!lines_->ready(milliseconds)) return false;
            take();
        }
        return found();
    }

private:
    static constexpr int kLooks = 1000;

    bool found() const { return held_ || ended_; }

    void take() {
        auto line = lines_->next();
        ended_ = !line;
        if (line && partition_.has(number_++)) held_ = std::move(line);
    }

    std::unique_ptr<PromptSource> lines_;
    Partition partition_;
    std::int64_t number_ = 0;  // of the next line
    std::optional<ParsedLine> held_;
    bool ended_ = false;
};

class OneByOne final : public PromptSource {
public:
    OneByOne(std::unique_ptr<PromptSource> lines, int most)
        : lines_(std::move(lines)), most_completions_(most) {}

    std::optional<ParsedLine> next() override {
        if (!request_) {
            auto line = lines_->next();
            const auto* request = line ? std::get_if<Request>(&*line) : nullptr;
            if (request == nullptr || request->sampling.n == 1) return line;
            if (request->sampling.n > most_completions_) return refuse(*request);
            request_ = std::get<Request>(std::move(*line));
        }
        Request request = *request_;
        if (++request_->index == request_->sampling.n) request_.reset();
        return request;
    }

    bool ready(int milliseconds) override { return request_ || lines_->ready(milliseconds); }

private:
    static FailedRequest refuse(const Request& request) {
        const std::string what = too_many_completions(request.sampling.n);
        return failed_request(request, error_at(request.where, "bad_option", what));
    }

    std::unique_ptr<PromptSource> lines_;
    int most_completions_;
    std::optional<Request> request_;  // of which some are still to be given out
};

}  // namespace

std::unique_ptr<PromptSource> with_unique_ids(std::unique_ptr<PromptSource> lines) {
    return std::make_unique<UniqueIds>(std::move(lines));
}

std::unique_ptr<PromptSource> part_of(std::unique_ptr<PromptSource> lines, Partition partition) {
    return std::make_unique<PartOfLines>(std::move(lines), partition);
}

std::unique_ptr<PromptSource> one_by_one(std::unique_ptr<PromptSource> lines, int most_completions) {
    return std::make_unique<OneByOne>(std::move(lines), most_completions);
}

std::string too_many_completions(int n) {
    return fmt::format(
        "n is {}: each part of a txt output holds one completion a request; give jsonl or openai", n);
}

}  // namespace sluice
