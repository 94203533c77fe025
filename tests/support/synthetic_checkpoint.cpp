#include "support/synthetic_checkpoint.hpp"

#include "checkpoint/hf_files.hpp"
#include "checkpoint/synthetic.hpp"
#include "core/json.hpp"

#include <algorithm>

namespace sluice::test {

void make_checkpoint(const std::string& config_json, std::uint64_t seed,
                     const std::filesystem::path& folder) {
    SyntheticOptions options;
    options.config_json = config_json;
    options.text_files =
        read_text_files(std::filesystem::path(SLUICE_TEST_DATA) / "models" / "deepseek-v3-tiny");
    options.seed = seed;
    write_synthetic_checkpoint(folder, options, [](std::uint64_t, std::uint64_t) {});
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
