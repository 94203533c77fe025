#include "support/small_model.hpp"

#include "core/error.hpp"
#include "model/rank_sums.hpp"

#include <algorithm>
#include <optional>

namespace sluice::test {
namespace {

class OnHost : public StepObserver {
public:
    OnHost(const Ops& ops, StepObserver& inner) : ops_(ops), inner_(inner) {}
    void hidden(int layer, ConstView x) override { inner_.hidden(layer, copy(x).view()); }
    void routing(int layer, ConstView expert, ConstView weight) override {
        inner_.routing(layer, copy(expert).view(), copy(weight).view());
    }

private:
    Tensor copy(ConstView view) const {
        Tensor tensor(host_memory(), view.dtype, view.shape);
        ops_.download(view.data, tensor.view().data, tensor.bytes());
        return tensor;
    }
    const Ops& ops_;
    StepObserver& inner_;
};

}  // namespace

std::filesystem::path built_checkpoint(const std::string& name) {
    return std::filesystem::path(SLUICE_BUILT_CHECKPOINTS) / name;
}

SmallModel::SmallModel(const std::string& checkpoint, const SmallModelOptions& options, Communicator& ranks)
    : SmallModel(open_sluice_checkpoint(built_checkpoint(checkpoint)), options, ranks) {}

SmallModel::SmallModel(std::unique_ptr<SluiceCheckpoint> checkpoint, const SmallModelOptions& options,
                       Communicator& ranks)
    : ranks_(ranks), ops_(options.family, options.threads), checkpoint_(std::move(checkpoint)) {
    const Shard shard{ranks.rank(), ranks.size(), checkpoint_->slices()};
    expect(shard.count() > 0, "{} slices on {} ranks", shard.slices, shard.ranks);
    Weights weights = load_weights(*checkpoint_, shard, ops_, options.gemm, [](const LoadProgress&) {});
    sums_ = make_rank_sums(ops_, ranks, options.links ? options.links(ranks, ops_) : nullptr);
    const DecoderLimits limits{options.rows, options.logit_rows, options.positions};
    decoder_ =
        std::make_unique<Decoder>(checkpoint_->config(), shard, std::move(weights), limits, ops_, *sums_);
    cache_ = std::make_unique<KvCache>(ops_.memory(), checkpoint_->config(), shard, options.kv_dtype,
                                       options.pages);
}

std::int64_t SmallModel::local_vocabulary() const {
    return decoder_->vocabulary_slices().back() - decoder_->vocabulary_slices().front();
}

// Pages in reverse, so that nothing rests on their order.
Step SmallModel::step_of(std::span<const std::int32_t> ids, int first, int count, bool all_logits) const {
    Step step;
    step.sequences.push_back({0, count, first + count, 0});
    const auto page_of = [&](int position) { return cache_->pages() - 1 - position / kernels::kPageTokens; };
    for (int p = 0; p < first + count; p += kernels::kPageTokens) step.pages.push_back(page_of(p));
    for (int i = 0; i < count; ++i) {
        const int position = first + i;
        step.tokens.push_back(ids[static_cast<std::size_t>(position)]);
        step.positions.push_back(position);
        step.slots.push_back(page_of(position) * kernels::kPageTokens + position % kernels::kPageTokens);
        if (all_logits || i == count - 1) step.logit_rows.push_back(i);
    }
    for (int position = 0; position < first + count; ++position) {
        if (ids[static_cast<std::size_t>(position)] == config().masked_token) step.masked.push_back(position);
    }
    step.sequences.front().masked = static_cast<std::int32_t>(step.masked.size());
    return step;
}

std::vector<float> SmallModel::run(const Step& step, StepObserver* observer) {
    const View logits = decoder_->run(step, *cache_, observer);
    sums_->wait();
    std::vector<float> values(static_cast<std::size_t>(logits.shape.elements()));
    ops_.download(logits.data, values.data(), values.size() * sizeof(float));
    return values;
}

std::vector<float> SmallModel::logits(std::span<const std::int32_t> ids, int chunk, StepObserver* observer) {
    std::optional<OnHost> on_host;
    if (observer != nullptr) observer = &on_host.emplace(ops_, *observer);
    std::vector<float> all;
    const int total = static_cast<int>(ids.size());
    for (int first = 0; first < total;) {
        const int count = std::min(chunk == 0 ? total : chunk, total - first);
        const std::vector<float> values = run(step_of(ids, first, count, true), observer);
        all.insert(all.end(), values.begin(), values.end());
        first += count;
    }
    return all;
}

std::vector<std::int32_t> SmallModel::greedy(std::span<const std::int32_t> ids, int tokens) {
    expect(ranks_.size() == 1, "greedy() sees one rank's logits only");
    std::vector<std::int32_t> text(ids.begin(), ids.end());
    for (int i = 0; i < tokens; ++i) {
        const int first = i == 0 ? 0 : static_cast<int>(text.size()) - 1;
        const std::vector<float> values =
            run(step_of(text, first, static_cast<int>(text.size()) - first, false), nullptr);
        text.push_back(static_cast<std::int32_t>(std::ranges::max_element(values) - values.begin()));
    }
    return {text.begin() + static_cast<std::ptrdiff_t>(ids.size()), text.end()};
}

}  // namespace sluice::test
