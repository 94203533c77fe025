// xAI's release of Grok-1, as a source of tensors.
#include "checkpoint/check_scales.hpp"
#include "checkpoint/checksum.hpp"
#include "checkpoint/foreign_names.hpp"
#include "checkpoint/full_path.hpp"
#include "checkpoint/grok_files.hpp"
#include "checkpoint/hf_files.hpp"
#include "checkpoint/source.hpp"
#include "core/error.hpp"
#include "core/json.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <optional>
#include <span>
#include <utility>

namespace sluice {
namespace {

namespace fs = std::filesystem;

// The release has no file that says so: run.py's own values.
constexpr std::string_view kGrok1 = R"({
  "vocab_size": 131072,
  "pad_token": 0,
  "eos_token": 2,
  "sequence_len": 8192,
  "output_multiplier_scale": 0.5773502691896257,
  "embedding_multiplier_scale": 78.38367176906169,
  "model": {
    "emb_size": 6144,
    "widening_factor": 8,
    "key_size": 128,
    "num_q_heads": 48,
    "num_kv_heads": 8,
    "num_layers": 64,
    "attn_output_multiplier": 0.08838834764831845,
    "num_experts": 8,
    "num_selected_experts": 2
  }
})";

// The release's dimensions of the leaf that holds a tensor. Its matrices are [inputs, outputs], ours the
// other way round, but for the embedding, a table in both.
struct Leaf {
    std::size_t file = 0;
    std::string path;
    std::vector<std::int64_t> dims;
    bool transposed = false;
};

Leaf leaf_of(const TensorSpec& spec, std::size_t file, std::string path) {
    Leaf leaf{file, std::move(path), {}, spec.full.rank() == 2 && spec.name != "/embed"};
    if (spec.cut.along == Along::Expert) leaf.dims.push_back(spec.experts);
    for (int axis = 0; axis < spec.full.rank(); ++axis) leaf.dims.push_back(spec.full[axis]);
    if (leaf.transposed) std::swap(leaf.dims.end()[-1], leaf.dims.end()[-2]);
    return leaf;
}

// Beside ckpt-0, or as in xAI's own folders (checkpoints/ckpt-0) one further up.
std::map<std::string, std::string> find_text_files(const fs::path& beside) {
    std::map<std::string, std::string> files = read_text_files(beside);
    const fs::path above = beside.parent_path() / kTokenizerModel;
    if (!has_tokenizer(files) && fs::exists(above))
        files.emplace(kTokenizerModel, read_file(above, ExitCode::Checkpoint));
    return files;
}

std::string text(const std::vector<std::int64_t>& dims) { return fmt::format("[{}]", fmt::join(dims, ", ")); }

// The axis along which equal parts of `hosts` hosts make the whole; none where each holds all of it.
std::optional<std::size_t> divided_axis(const std::vector<std::int64_t>& whole,
                                        const std::vector<std::int64_t>& part, int hosts,
                                        const std::string& where) {
    std::optional<std::size_t> axis;
    bool fits = part.size() == whole.size();
    for (std::size_t i = 0; fits && i < whole.size(); ++i) {
        if (part[i] == whole[i]) continue;
        fits = part[i] * hosts == whole[i] && !axis;
        axis = i;
    }
    const std::string each = hosts == 1 ? "" : fmt::format(" in each of {} host files", hosts);
    require(fits, ExitCode::Checkpoint, "{}: shape {}{}; the model needs {} in all", where, text(part), each,
            text(whole));
    return axis;
}

bool same_bytes(const InputFile& a, const PickledArray& part, const InputFile& b, const PickledArray& copy) {
    constexpr std::uint64_t kPiece = 1 << 20;
    const std::uint64_t bytes = part.end - part.begin;
    if (copy.end - copy.begin != bytes) return false;
    std::vector<std::byte> left(std::min(kPiece, bytes));
    std::vector<std::byte> right(left.size());
    for (std::uint64_t at = 0; at < bytes; at += kPiece) {
        const std::size_t now = std::min(kPiece, bytes - at);
        a.read(part.begin + at, std::span(left).first(now));
        b.read(copy.begin + at, std::span(right).first(now));
        if (!std::equal(left.begin(), left.begin() + static_cast<std::ptrdiff_t>(now), right.begin()))
            return false;
    }
    return true;
}

class GrokRelease final : public CheckpointSource {
public:
    explicit GrokRelease(const fs::path& folder) : files_(folder) {
        const fs::path whole = full_path(folder);
        const fs::path beside = fs::exists(whole / "ckpt-0") ? whole : whole.parent_path();
        const fs::path config = beside / "config.json";
        const bool there = fs::exists(config);
        config_where_ = there ? config.string() : "the built-in configuration of Grok-1";
        std::string json = there ? read_file(config, ExitCode::Checkpoint) : std::string(kGrok1);
        config_ = parse_config(json, config_where_);
        text_files_ = find_text_files(beside);
        match();
        config_json_ = with_quantization(json);
        config_ = parse_config(config_json_, config_where_);
        check_blocks();
        tensors_ = tensor_catalog(config_);
    }

    SourceKind kind() const override { return SourceKind::GrokRelease; }
    const ModelConfig& config() const override { return config_; }
    const std::string& config_json() const override { return config_json_; }
    const std::map<std::string, std::string>& text_files() const override { return text_files_; }

    const std::vector<TensorSpec>& tensors() const override { return tensors_; }

    ValueForm form(const TensorSpec& spec) const override {
        const Leaf leaf = this->leaf(spec);
        return {files_.tensor(leaf.file, 0).values.dtype, block(leaf)};
    }

    SourceTensor tensor(const TensorSpec& spec) const override {
        const Leaf leaf = this->leaf(spec);
        SourceTensor tensor;
        tensor.form = form(spec);
        tensor.shape = spec.full;
        tensor.where = where(leaf);
        const auto axis = this->axis(leaf);
        if (!axis) require_equal_copies(leaf, spec);
        for (int host = 0; host < (axis ? files_.hosts() : 1); ++host) {
            const PickledTensorFile& file = files_.file(leaf.file, host);
            tensor.pieces.push_back(piece(spec, leaf, host, file.tensor().values));
        }
        read_scales(spec, leaf, tensor);
        return tensor;
    }

    const NameLayout& names() const override { return usual_layout(config()); }

    std::string fingerprint() const override {
        std::string text = config_json_;
        for (std::size_t index = 0; index < files_.count(); ++index)
            for (int host = 0; host < files_.hosts(); ++host) text += files_.file(index, host).file().stamp();
        return checksum_text(checksum_of(text.data(), text.size()));
    }

private:
    Leaf leaf(const TensorSpec& spec) const {
        const auto found = files_of_.find(grok_release_layout().name_of(spec));
        expect(found != files_of_.end(), "tensor {} is not of this model's catalog", spec.name);
        return leaf_of(spec, found->second, found->first);
    }

    std::string where(const Leaf& leaf, int host = 0) const {
        return fmt::format("{} ({})", files_.file(leaf.file, host).path().string(), leaf.path);
    }

    // The files are the leaves of the parameter tree in the order of their paths as text, where layer 10
    // comes before layer 2.
    void match() {
        const std::vector<TensorSpec> catalog = tensor_catalog(config_);
        for (const TensorSpec& spec : catalog) files_of_[grok_release_layout().name_of(spec)] = 0;
        require(files_.count() == files_of_.size(), ExitCode::Checkpoint,
                "{}: tensors 0 to {} are there; {} has {}: give the config.json that belongs to them",
                files_.file(0, 0).path().parent_path().string(), files_.count() - 1, config_where_,
                files_of_.size());
        std::size_t next = 0;
        for (auto& [path, file] : files_of_) file = next++;
        for (const TensorSpec& spec : catalog) {
            if (spec.expert > 0) continue;  // the leaf of expert 0
            const Leaf leaf = this->leaf(spec);
            for (int host = 0; host < files_.hosts(); ++host) check(spec, leaf, host);
        }
    }

    void check(const TensorSpec& spec, const Leaf& leaf, int host) const {
        const PickledTensor& first = files_.tensor(leaf.file, 0);
        const PickledTensor& found = files_.tensor(leaf.file, host);
        const std::string at = where(leaf, host);
        require(found.values.dims == first.values.dims && found.values.dtype == first.values.dtype &&
                    found.scales.has_value() == first.scales.has_value() &&
                    (!found.scales || found.scales->dims == first.scales->dims),
                ExitCode::Checkpoint, "{}: it differs in shape or type from {}", at, where(leaf));
        const bool by_expert = spec.cut.along == Along::Expert;
        const auto divided = divided_axis(leaf.dims, found.values.dims, files_.hosts(), at);
        require(!by_expert || divided != 0U, ExitCode::Checkpoint,
                "{}: shape {} in each of {} host files divides the experts between the hosts, which is not "
                "supported; expected a part of every expert in each",
                at, text(found.values.dims), files_.hosts());
        const bool plain = found.values.dtype != DType::I8 && !found.scales;
        const bool quantised = found.values.dtype == DType::I8 && found.scales && spec.quantizable;
        require(plain || quantised, ExitCode::Checkpoint, "{}: {}{}; expected float32 or bfloat16{}", at,
                name_of(found.values.dtype), found.scales ? " with scales" : "",
                spec.quantizable ? ", or int8 with scales" : "");
        require(!quantised || !by_expert || found.scales->dims.front() == found.values.dims.front(),
                ExitCode::Checkpoint, "{}: scales {} do not tell the experts of {} apart", at,
                text(quantised ? found.scales->dims : found.values.dims), text(found.values.dims));
    }

    // A checkpoint has one quantisation for all its matrices.
    void check_blocks() const {
        const auto words = [](const Block& block) {
            return block == Block{} ? "no scales"
                                    : fmt::format("scales of blocks of {} x {}", block.rows, block.cols);
        };
        for (const TensorSpec& spec : tensor_catalog(config_)) {
            const Leaf leaf = this->leaf(spec);
            const Block found = block(leaf);
            const Block expected = block_of(spec, config_.quantization);
            require(
                found == expected, ExitCode::Checkpoint,
                "{}: {}, where the other tensors ask for {}: all matrices must be int8 with scales of the "
                "same groups, or none of them",
                where(leaf), words(found), words(expected));
        }
    }

    std::optional<std::size_t> axis(const Leaf& leaf) const {
        return divided_axis(leaf.dims, files_.tensor(leaf.file, 0).values.dims, files_.hosts(), where(leaf));
    }

    // Host files hold a scale for each equal run of inputs, and of outputs.
    Block block(const Leaf& leaf) const {
        const PickledTensor& tensor = files_.tensor(leaf.file, 0);
        if (!tensor.scales) return {};
        const auto run = [&](std::ptrdiff_t from_end) {
            return static_cast<int>(tensor.values.dims.end()[-from_end] /
                                    tensor.scales->dims.end()[-from_end]);
        };
        return leaf.transposed ? Block{run(1), run(2)} : Block{run(2), run(1)};
    }

    // What an array of the leaf holds for the tensor: all, or one expert's equal part.
    static PickledArray part_of_expert(const TensorSpec& spec, PickledArray array) {
        if (spec.cut.along != Along::Expert) return array;
        const std::size_t bytes = (array.end - array.begin) / static_cast<std::size_t>(spec.experts);
        array.begin += bytes * static_cast<std::size_t>(spec.expert);
        array.end = array.begin + bytes;
        return array;
    }

    // Of an array laid out like the leaf (its values, or its scales), the host's part of one tensor.
    SourcePiece piece(const TensorSpec& spec, const Leaf& leaf, int host, const PickledArray& array) const {
        const std::size_t rank = array.dims.size();
        const bool matrix = spec.full.rank() == 2;
        const std::int64_t minor = matrix ? array.dims[rank - 1] : 1;
        const std::int64_t major = matrix ? array.dims[rank - 2] : array.dims[rank - 1];
        const auto axis = this->axis(leaf);
        const std::size_t major_axis = matrix ? rank - 2 : rank - 1;
        const std::int64_t first_major = axis == major_axis ? host * major : 0;
        const std::int64_t first_minor = matrix && axis == rank - 1 ? host * minor : 0;
        SourcePiece piece;
        piece.file = &files_.file(leaf.file, host).file();
        piece.offset = part_of_expert(spec, array).begin;
        piece.rows = {first_major, first_major + major};
        piece.cols = {first_minor, first_minor + minor};
        piece.row_stride = minor;
        if (leaf.transposed) {
            std::swap(piece.rows, piece.cols);
            std::swap(piece.row_stride, piece.col_stride);
        }
        return piece;
    }

    void read_scales(const TensorSpec& spec, const Leaf& leaf, SourceTensor& tensor) const {
        const Block block = tensor.form.block;
        if (block == Block{}) return;
        SourceTensor scales;
        scales.form.dtype = files_.tensor(leaf.file, 0).scales->dtype;
        scales.shape = {tensor.shape[0] / block.rows, tensor.shape[1] / block.cols};
        for (std::size_t host = 0; host < tensor.pieces.size(); ++host)
            scales.pieces.push_back(piece(spec, leaf, static_cast<int>(host),
                                          *files_.tensor(leaf.file, static_cast<int>(host)).scales));
        tensor.scales = scales.as_floats();
        check_scales(tensor.scales, tensor.where);
    }

    // Where every host holds all of a tensor. A tensor's part of the copies is compared when it is asked for.
    void require_equal_copies(const Leaf& leaf, const TensorSpec& spec) const {
        const PickledTensorFile& first = files_.file(leaf.file, 0);
        for (int host = 1; host < files_.hosts(); ++host) {
            const PickledTensorFile& copy = files_.file(leaf.file, host);
            const auto same = [&](const PickledArray& a, const PickledArray& b) {
                return same_bytes(first.file(), part_of_expert(spec, a), copy.file(),
                                  part_of_expert(spec, b));
            };
            require(same(first.tensor().values, copy.tensor().values), ExitCode::Checkpoint,
                    "{}: the values differ from those of {}, which should be the same", where(leaf, host),
                    where(leaf));
            require(!first.tensor().scales || same(*first.tensor().scales, *copy.tensor().scales),
                    ExitCode::Checkpoint, "{}: the scales differ from those of {}, which should be the same",
                    where(leaf, host), where(leaf));
        }
    }

    // What the files say about scales, and the configuration does not.
    std::string with_quantization(const std::string& json) const {
        std::int64_t groups = 0;
        for (const TensorSpec& spec : tensor_catalog(config_)) {
            const Block block = this->block(leaf(spec));
            if (spec.row_parallel && block.cols > 0) groups = std::max(groups, spec.full[1] / block.cols);
        }
        auto config = nlohmann::ordered_json::parse(json);
        config.erase("quantization_config");
        if (groups > 0) config["quantization_config"] = {{"quant_method", "int8"}, {"groups", groups}};
        return config.dump(2) + "\n";
    }

    GrokFiles files_;
    std::string config_where_, config_json_;
    ModelConfig config_;
    std::map<std::string, std::string> text_files_;
    std::vector<TensorSpec> tensors_;
    std::map<std::string, std::size_t> files_of_;  // by the leaf's path
};

}  // namespace

bool is_grok_release(const fs::path& folder) {
    return fs::exists(folder / "ckpt-0") || fs::exists(folder / "tensor00000_000");
}

std::unique_ptr<CheckpointSource> open_grok_release(const fs::path& folder) {
    return std::make_unique<GrokRelease>(folder);
}

}  // namespace sluice
