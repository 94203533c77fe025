#include "support/synthetic_checkpoint.hpp"

#include "checkpoint/hf_names.hpp"
#include "core/dtype.hpp"
#include "core/json.hpp"
#include "model/catalog.hpp"

#include <cmath>
#include <cstring>
#include <fstream>
#include <vector>

namespace sluice::test {
namespace {

// Numbers that depend on the seed and the tensor's name alone.
class Random {
public:
    Random(std::uint64_t seed, std::string_view name) : state_(seed * 0x9e3779b97f4a7c15ULL) {
        for (const char c : name) state_ = (state_ ^ static_cast<unsigned char>(c)) * 0x100000001b3ULL;
    }

    // In [-1, 1). SplitMix64 (Steele, Lea and Flood 2014).
    float symmetric() {
        std::uint64_t z = (state_ += 0x9e3779b97f4a7c15ULL);
        z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9ULL;
        z = (z ^ (z >> 27)) * 0x94d049bb133111ebULL;
        return static_cast<float>(static_cast<std::int64_t>(z ^ (z >> 31)) >> 40) * 0x1p-23F;
    }

private:
    std::uint64_t state_;
};

std::int64_t blocks(std::int64_t length, int block) { return (length + block - 1) / block; }

// One tensor of a file, before its values exist.
struct Entry {
    std::string name;
    DType dtype = DType::BF16;
    Shape shape;
    float base = 0, spread = 1;  // values are base + spread * [-1, 1)
    std::uint64_t bytes() const { return static_cast<std::uint64_t>(shape.elements()) * size_of(dtype); }
};

// Uniform values of variance 1/width keep the size of what they multiply.
float spread_of(std::int64_t width) { return std::sqrt(3.0F / static_cast<float>(width)); }

Entry values_entry(const TensorSpec& spec, const ModelConfig& config) {
    Entry entry{hugging_face_name(spec), DType::BF16, spec.full, 0, 1};
    if (spec.quantizable && config.quantization.dtype == DType::F8E4M3) {
        entry.dtype = DType::F8E4M3;
        entry.spread = 448;
    } else if (spec.name.ends_with("router_bias")) {
        entry.dtype = DType::F32;
        entry.spread = 0.05F;
    } else if (spec.full.rank() == 1) {  // the weight of a norm
        entry.base = 1;
        entry.spread = 0.25F;
    } else if (spec.name != "/embed") {
        entry.spread = spread_of(spec.full[1]);
    }
    return entry;
}

Entry scales_entry(const TensorSpec& spec, const Entry& values, const Quantization& quantization) {
    const Shape shape{blocks(spec.full[0], quantization.block_rows),
                      blocks(spec.full[1], quantization.block_cols)};
    const float mean = spread_of(spec.full[1]) / values.spread;
    return {hugging_face_scale_name(values.name), DType::F32, shape, mean, 0.5F * mean};
}

std::vector<Entry> entries_of(const ModelConfig& config) {
    std::vector<Entry> entries;
    for (const TensorSpec& spec : tensor_catalog(config)) {
        entries.push_back(values_entry(spec, config));
        if (entries.back().dtype == DType::F8E4M3)
            entries.push_back(scales_entry(spec, entries.back(), config.quantization));
    }
    return entries;
}

std::vector<std::byte> values_of(const Entry& entry, std::uint64_t seed) {
    std::vector<std::byte> bytes(entry.bytes());
    Random random(seed, entry.name);
    const auto fill = [&](auto encode) {
        for (std::size_t at = 0; at < bytes.size(); at += size_of(entry.dtype)) {
            const auto value = encode(entry.base + entry.spread * random.symmetric());
            std::memcpy(bytes.data() + at, &value, sizeof value);
        }
    };
    if (entry.dtype == DType::F8E4M3) {
        fill([](float value) { return to_fp8(value); });
    } else if (entry.dtype == DType::BF16) {
        fill([](float value) { return to_bf16(value); });
    } else {
        fill([](float value) { return value; });
    }
    return bytes;
}

const char* format_name(DType type) {
    if (type == DType::F8E4M3) return "F8_E4M3";
    return type == DType::BF16 ? "BF16" : "F32";
}

// The safetensors header: its length in 8 bytes, little-endian, then JSON.
std::string header_of(const std::vector<Entry>& entries) {
    Json header = {{"__metadata__", {{"format", "pt"}}}};
    std::uint64_t at = 0;
    for (const Entry& entry : entries) {
        Json shape = Json::array();
        for (int axis = 0; axis < entry.shape.rank(); ++axis) shape.push_back(entry.shape[axis]);
        header[entry.name] = {{"dtype", format_name(entry.dtype)},
                              {"shape", std::move(shape)},
                              {"data_offsets", {at, at + entry.bytes()}}};
        at += entry.bytes();
    }
    std::string text = header.dump();
    text.resize((text.size() + 7) / 8 * 8, ' ');
    const auto length = static_cast<std::uint64_t>(text.size());
    std::string bytes(sizeof length, '\0');
    std::memcpy(bytes.data(), &length, sizeof length);
    return bytes + text;
}

void write_tensors(const std::filesystem::path& path, const std::vector<Entry>& entries, std::uint64_t seed) {
    std::ofstream file(path, std::ios::binary);
    file << header_of(entries);
    for (const Entry& entry : entries) {
        const std::vector<std::byte> bytes = values_of(entry, seed);
        file.write(reinterpret_cast<const char*>(bytes.data()), static_cast<std::streamsize>(bytes.size()));
    }
    file.close();
    require(file.good(), ExitCode::File, "{}: cannot be written", path.string());
}

void copy_tokenizer(const std::filesystem::path& from, const std::filesystem::path& to) {
    for (const char* name : {"tokenizer.json", "tokenizer_config.json", "generation_config.json"})
        std::filesystem::copy_file(from / name, to / name, std::filesystem::copy_options::overwrite_existing);
}

}  // namespace

void write_synthetic_checkpoint(const SyntheticCheckpoint& checkpoint, const std::filesystem::path& folder) {
    const std::vector<Entry> entries = entries_of(parse_config(checkpoint.config_json, "configuration"));
    std::filesystem::create_directories(folder);
    std::ofstream(folder / "config.json") << checkpoint.config_json;
    copy_tokenizer(checkpoint.tokenizer, folder);

    Json places = Json::object();
    std::uint64_t total = 0;
    for (int file = 0; file < checkpoint.files; ++file) {
        const Range range = part_of(static_cast<std::int64_t>(entries.size()), file, checkpoint.files);
        const std::vector<Entry> part(entries.begin() + range.begin, entries.begin() + range.end);
        const std::string name = checkpoint.files == 1 ? "model.safetensors"
                                                       : fmt::format("model-{:05}-of-{:05}.safetensors",
                                                                     file + 1, checkpoint.files);
        write_tensors(folder / name, part, checkpoint.seed);
        for (const Entry& entry : part) {
            places[entry.name] = name;
            total += entry.bytes();
        }
    }
    if (checkpoint.files == 1) return;
    const Json index = {{"metadata", {{"total_size", total}}}, {"weight_map", places}};
    std::ofstream(folder / "model.safetensors.index.json") << index.dump(2);
}

std::string wide_config() {
    return R"({
  "model_type": "deepseek_v3", "hidden_size": 160, "num_hidden_layers": 3, "first_k_dense_replace": 1,
  "num_attention_heads": 8, "q_lora_rank": 48, "kv_lora_rank": 32, "qk_nope_head_dim": 24,
  "qk_rope_head_dim": 8, "v_head_dim": 16, "intermediate_size": 200, "moe_intermediate_size": 72,
  "n_routed_experts": 16, "num_experts_per_tok": 4, "n_group": 4, "topk_group": 2, "n_shared_experts": 1,
  "scoring_func": "sigmoid", "topk_method": "noaux_tc", "norm_topk_prob": true, "routed_scaling_factor": 2.5,
  "vocab_size": 2048, "max_position_embeddings": 2048, "rope_theta": 10000, "rms_norm_eps": 1e-06,
  "bos_token_id": 0, "eos_token_id": 1,
  "quantization_config": {"quant_method": "fp8", "fmt": "e4m3", "weight_block_size": [128, 128]}
}
)";
}

std::string large_config(int mebibytes) {
    constexpr int kWidth = 1024;
    constexpr int kMoeLayers = 3;
    constexpr int kExpertMebibytes = 3;  // gate, up and down of kWidth x kWidth bytes
    Json config = Json::parse(wide_config());
    config["hidden_size"] = kWidth;
    config["intermediate_size"] = kWidth;
    config["moe_intermediate_size"] = kWidth;
    config["num_hidden_layers"] = kMoeLayers + 1;
    config["n_group"] = 1;
    config["topk_group"] = 1;
    config["n_routed_experts"] = std::max(8, mebibytes / (kMoeLayers * kExpertMebibytes));
    return config.dump(2);
}

}  // namespace sluice::test
