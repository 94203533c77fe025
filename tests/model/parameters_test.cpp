#include "model/parameters.hpp"

#include "core/json.hpp"
#include "model/catalog.hpp"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <string>

namespace sluice::test {
namespace {

ModelConfig config_of(const std::string& name) {
    const auto path = std::filesystem::path(SLUICE_TEST_DATA) / "configs" / (name + ".json");
    return parse_config(read_file(path, ExitCode::Checkpoint), path.string());
}

struct Published {
    const char* name;
    std::uint64_t total;  // exact where the published checkpoint's own index tells; else rounded to 1e9
    double active;        // billions, as the model's makers say, rounded as they do; 0: they do not
};

class PublishedCounts : public testing::TestWithParam<Published> {};

TEST_P(PublishedCounts, AreMet) {
    const auto [name, total, active] = GetParam();
    const ParameterCount count = count_parameters(config_of(name));
    const double rounding = total % 1'000'000'000 == 0 ? 0.006 : 0;
    EXPECT_NEAR(static_cast<double>(count.total), static_cast<double>(total),
                rounding * static_cast<double>(total));
    if (active > 0) {
        EXPECT_NEAR(static_cast<double>(count.active) / 1e9, active, 0.025 * active);
    }
}

INSTANTIATE_TEST_SUITE_P(Models, PublishedCounts,
                         testing::Values(Published{"DeepSeek-V3", 671'026'419'200, 37},
                                         Published{"DeepSeek-R1", 671'026'419'200, 37},
                                         Published{"deepseek-demo-config_671B", 671'026'419'200, 37},
                                         Published{"DeepSeek-V2", 235'741'434'880, 21},
                                         Published{"DeepSeek-V2-Lite", 15'706'484'224, 2.4},
                                         Published{"Mixtral-8x7B-v0.1", 46'702'792'704, 12.9},
                                         Published{"Mixtral-8x22B-v0.1", 140'620'634'112, 39},
                                         Published{"Grok-1", 314'000'000'000, 0},
                                         Published{"Llama-3.1-8B", 8'030'261'248, 0},
                                         Published{"Llama-3.1-70B", 70'553'706'496, 0},
                                         Published{"Llama-3.1-405B", 405'853'388'800, 0}),
                         [](const auto& param) {
                             std::string name = param.param.name;
                             for (char& c : name)
                                 if (std::isalnum(static_cast<unsigned char>(c)) == 0) c = '_';
                             return name;
                         });

TEST(CountParameters, GrokActivatesAQuarterAndTheRest) {
    const ParameterCount count = count_parameters(config_of("Grok-1"));
    const double share = static_cast<double>(count.active) / static_cast<double>(count.total);
    EXPECT_NEAR(share, 0.25, 0.02) << "two of eight experts, and all else";
}

TEST(CountParameters, ADenseModelUsesAllButItsEmbedding) {
    const ModelConfig config = config_of("Llama-3.1-8B");
    const ParameterCount count = count_parameters(config);
    EXPECT_EQ(count.total - count.active, 128256ULL * 4096);
}

TEST(CountParameters, AnEmbeddingThatIsTheHeadIsActiveOnce) {
    ModelConfig config = config_of("Llama-3.1-8B");
    const ParameterCount untied = count_parameters(config);
    config.tied_head = true;
    const ParameterCount tied = count_parameters(config);
    EXPECT_EQ(tied.total, tied.active);
    EXPECT_EQ(tied.active, untied.active);
}

TEST(LayerKinds, CountsEveryLayerOnce) {
    const ModelConfig config = config_of("DeepSeek-V3");
    const std::vector<LayerKind> kinds = layer_kinds(config);
    ASSERT_EQ(kinds.size(), 2U);
    EXPECT_EQ(kinds[0].count, 3U);
    EXPECT_EQ(kinds[1].count, 58U);
    EXPECT_EQ(kinds[0].spec, config.layers.front());
    EXPECT_EQ(kinds[1].spec, config.layers.back());
}

}  // namespace
}  // namespace sluice::test
