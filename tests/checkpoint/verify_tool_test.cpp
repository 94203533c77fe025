// sluice-verify and sluice-inspect as programs: exit codes, what they print, and that threads change nothing.
#include "checkpoint/models.hpp"
#include "core/dtype.hpp"
#include "jobs/process.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <cstring>
#include <utility>

namespace sluice {
namespace {

using testing::HasSubstr;
using testing::Not;

// Of a tensor of bfloat16, or of fp8 with its scales for 128 x 128 values.
std::vector<float> effective_values(const test::RawTensors& model, const std::string& name) {
    const test::RawTensor& tensor = model.at(name);
    std::vector<float> values(tensor.bytes.size() / (tensor.dtype == "BF16" ? 2 : 1));
    for (std::size_t i = 0; i < values.size(); ++i) {
        if (tensor.dtype == "BF16") {
            bf16 bits = 0;
            std::memcpy(&bits, tensor.bytes.data() + 2 * i, 2);
            values[i] = to_float(bits);
            continue;
        }
        const test::RawTensor& scales = model.at(name + "_scale_inv");
        const auto cols = static_cast<std::size_t>(tensor.shape[1]);
        const std::size_t block = i / cols / 128 * static_cast<std::size_t>(scales.shape[1]) + i % cols / 128;
        float scale = 0;
        std::memcpy(&scale, scales.bytes.data() + 4 * block, 4);
        values[i] = fp8_to_float(static_cast<fp8>(tensor.bytes[i])) * scale;
    }
    return values;
}

class VerifyTool : public testing::Test {
protected:
    void SetUp() override {
        ASSERT_EQ(run({SLUICE_SHARD, "--input", model_, "--output", out_, "--slices", "2"}).code, 0);
    }
    test::Ending run(std::vector<std::string> words) const {
        return test::Process(std::move(words), folder_.path()).wait();
    }
    nlohmann::json json(std::vector<std::string> words) const {
        words.emplace_back("--json");
        return nlohmann::json::parse(run(std::move(words)).out);
    }
    // Every expert's `down` with one value's sign changed: 64 of them.
    std::string changed_model() const {
        const std::filesystem::path changed = folder_ / "changed";
        test::copy_folder(model_, changed);
        for (const char* file : {test::kFirstFile, test::kSecondFile})
            test::edit_tensors(changed / file, [](test::RawTensors& tensors) {
                for (auto& [name, tensor] : tensors)
                    if (name.find(".experts.") != std::string::npos && name.ends_with(".down_proj.weight"))
                        tensor.bytes[17] = static_cast<char>(tensor.bytes[17] ^ 0x80);
            });
        return changed;
    }

    ScratchFolder folder_;
    std::string model_ = test::tiny_v3();
    std::string out_ = folder_ / "out";
};

TEST_F(VerifyTool, HelpsAndNamesItsVersion) {
    const test::Ending help = run({SLUICE_VERIFY, "--help"});
    EXPECT_EQ(help.code, 0);
    for (const char* option : {"--against", "--json", "--threads", "--config", "--version", "--log-level"})
        EXPECT_THAT(help.out, HasSubstr(option));
    EXPECT_EQ(run({SLUICE_VERIFY}).code, 2);
    EXPECT_EQ(run({SLUICE_VERIFY, out_, "--threads", "-1"}).code, 2);
}

TEST_F(VerifyTool, TellsThatAllIsRight) {
    const test::Ending alone = run({SLUICE_VERIFY, out_});
    EXPECT_EQ(alone.code, 0);
    EXPECT_THAT(alone.out, HasSubstr("tensors are right"));
    EXPECT_THAT(alone.out, HasSubstr("all as written; id "));
    EXPECT_THAT(alone.out, Not(HasSubstr("values")));
    const test::Ending compared = run({SLUICE_VERIFY, out_, "--against", model_});
    EXPECT_EQ(compared.code, 0);
    EXPECT_THAT(compared.out, HasSubstr("as in " + model_));
    const test::Ending foreign = run({SLUICE_VERIFY, model_});
    EXPECT_EQ(foreign.code, 0);
    EXPECT_THAT(foreign.out, HasSubstr("this format has none"));
    const auto result = json({SLUICE_VERIFY, out_, "--against", model_});
    EXPECT_EQ(result.at("right"), true);
    EXPECT_EQ(result.at("checksums"), true);
    EXPECT_EQ(result.at("against"), model_);
    EXPECT_EQ(result.at("findings"), nlohmann::json::array());
    EXPECT_EQ(result.at("checkpoint_id"), json({SLUICE_INSPECT, out_}).at("checkpoint_id"));
}

TEST_F(VerifyTool, PrintsTheFirstTenAndEndsWith3) {
    const std::string changed = changed_model();
    const test::Ending ending = run({SLUICE_VERIFY, out_, "--against", changed});
    EXPECT_EQ(ending.code, 3);
    EXPECT_EQ(ending.err, "");
    EXPECT_EQ(std::ranges::count(ending.out, '\n'), 12);
    EXPECT_TRUE(
        ending.out.starts_with("/layers/1/experts/0/down: 1 of 20480 values differ, the first at "
                               "[0, 17]: expected "))
        << ending.out;
    EXPECT_THAT(ending.out, HasSubstr("and 54 more"));
    EXPECT_THAT(ending.out, HasSubstr("wrong in 64 places"));
    for (const char* threads : {"1", "5"})
        EXPECT_EQ(run({SLUICE_VERIFY, out_, "--against", changed, "--threads", threads}).out, ending.out);
    const auto result = json({SLUICE_VERIFY, out_, "--against", changed});
    EXPECT_EQ(result.at("right"), false);
    ASSERT_EQ(result.at("findings").size(), 64U);
    const auto& first = result.at("findings").at(0);
    EXPECT_EQ(first.at("fault"), "values");
    EXPECT_EQ(first.at("subject"), "/layers/1/experts/0/down");
    EXPECT_EQ(first.at("count"), 1);
    EXPECT_EQ(first.at("col"), 17);
    EXPECT_EQ(first.at("expected").get<double>(), -first.at("found").get<double>());
}

TEST_F(VerifyTool, RefusesWhatIsNoCheckpoint) {
    EXPECT_EQ(run({SLUICE_VERIFY, folder_.path()}).code, 3);
    EXPECT_EQ(run({SLUICE_VERIFY, out_, "--against", folder_.path()}).code, 3);
    std::filesystem::remove(out_ + "/slice-001-of-002.h5");
    const test::Ending ending = run({SLUICE_VERIFY, out_});
    EXPECT_EQ(ending.code, 3);
    EXPECT_TRUE(ending.err.starts_with("sluice-verify: ")) << ending.err;
    EXPECT_EQ(ending.out, "");
}

// Against sums made here, value by value.
TEST_F(VerifyTool, InspectSumsUpValues) {
    test::write_random_model(folder_ / "odd", test::odd_sizes(), 50);
    for (const std::string& folder : {out_, model_, (folder_ / "odd").string()}) {
        const auto tensors = json({SLUICE_INSPECT, folder, "--stats"}).at("tensors");
        const test::RawTensors model = test::read_model(folder == out_ ? model_ : folder);
        for (const auto& [name, foreign] :
             {std::pair("/embed", "model.embed_tokens.weight"),
              std::pair("/layers/0/attention/kv_a_norm", "model.layers.0.self_attn.kv_a_layernorm.weight"),
              std::pair("/layers/0/attention/o", "model.layers.0.self_attn.o_proj.weight")}) {
            const auto found = std::ranges::find(tensors, name, [](const auto& t) { return t.at("name"); });
            ASSERT_NE(found, tensors.end());
            const std::vector<float> values = effective_values(model, foreign);
            double sum = 0;
            for (const float value : values) sum += static_cast<double>(value);
            const float greatest = std::ranges::max(values);
            EXPECT_EQ(found->at("min").get<float>(), std::ranges::min(values)) << folder << name;
            EXPECT_EQ(found->at("max").get<float>(), greatest) << folder << name;
            EXPECT_NEAR(found->at("mean").get<double>(), sum / static_cast<double>(values.size()),
                        1e-9 * static_cast<double>(greatest))
                << folder << name;
            EXPECT_EQ(found->at("nan"), 0);
            EXPECT_EQ(found->at("infinite"), 0);
        }
    }
}

TEST_F(VerifyTool, InspectSaysTheSameWhateverTheFormatAndThreads) {
    const auto own = json({SLUICE_INSPECT, out_, "--stats", "--threads", "1"}).at("tensors");
    EXPECT_EQ(json({SLUICE_INSPECT, out_, "--stats", "--threads", "5"}).at("tensors"), own);
    const auto foreign = json({SLUICE_INSPECT, model_, "--stats"}).at("tensors");
    ASSERT_EQ(foreign.size(), own.size());
    for (std::size_t i = 0; i < own.size(); ++i)
        for (const char* key : {"name", "shape", "dtype", "min", "max", "mean"})
            EXPECT_EQ(own[i].at(key), foreign[i].at(key));
    const auto one = json({SLUICE_INSPECT, out_, "--tensor", "/layers/0/attention/o"});
    EXPECT_EQ(one.at("first").size(), 8U);
    EXPECT_EQ(one.at("parts").at(1).at("shape"), nlohmann::json({256, 64}));
    EXPECT_EQ(one.at("parts").at(1).at("xxh3_64").get<std::string>().size(), 16U);
    const test::Ending table = run({SLUICE_INSPECT, out_, "--stats"});
    EXPECT_THAT(table.out, HasSubstr("/mtp/4/experts/0-15/gate"));
    EXPECT_THAT(table.out, HasSubstr("min -"));
}

TEST_F(VerifyTool, InspectCountsWhatIsNoNumber) {
    const std::filesystem::path changed = folder_ / "changed";
    test::copy_folder(model_, changed);
    for (const char* file : {test::kFirstFile, test::kSecondFile})
        test::edit_tensors(changed / file, [](test::RawTensors& tensors) {
            if (!tensors.contains("model.embed_tokens.weight")) return;
            std::string& embed = tensors.at("model.embed_tokens.weight").bytes;
            embed.replace(20, 6, "\x80\x7f\x80\xff\xc0\x7f");  // both infinities, NaN
        });
    const auto one = json({SLUICE_INSPECT, changed, "--tensor", "/embed"});
    EXPECT_EQ(one.at("nan"), 1);
    EXPECT_EQ(one.at("infinite"), 2);
    EXPECT_LT(one.at("max").get<double>(), 2);
    EXPECT_GT(one.at("min").get<double>(), -2);
    EXPECT_THAT(run({SLUICE_INSPECT, changed, "--tensor", "/embed"}).out, HasSubstr(", 1 NaN, 2 infinite"));
}

TEST_F(VerifyTool, InspectNoticesAlteredValues) {
    const std::string path = out_ + "/common.h5";
    std::string content = content_of(path);
    const std::string norm = test::read_model(model_).at("model.norm.weight").bytes;
    const std::size_t at = content.find(norm);
    ASSERT_NE(at, std::string::npos);
    content[at] = static_cast<char>(content[at] ^ 1);
    std::ofstream(path, std::ios::binary) << content;
    const test::Ending ending = run({SLUICE_INSPECT, out_, "--stats"});
    EXPECT_EQ(ending.code, 3);
    EXPECT_THAT(ending.err, HasSubstr("/norm is altered"));
}

}  // namespace
}  // namespace sluice
