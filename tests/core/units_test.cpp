#include "core/units.hpp"

#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <cstdint>
#include <string_view>

namespace sluice {
namespace {

TEST(ParseBytes, ReadsBinaryAndDecimalUnits) {
    struct Known {
        std::string_view text;
        std::uint64_t bytes;
    };
    for (const auto& [text, bytes] : {
             Known{"0", 0},
             Known{"4096", 4096},
             Known{"4096B", 4096},
             Known{"1KiB", 1024},
             Known{"512MiB", 536870912},
             Known{"20GiB", 21474836480},
             Known{"2TiB", 2199023255552},
             Known{"1KB", 1000},
             Known{"3MB", 3000000},
             Known{"1.5GB", 1500000000},
             Known{"1TB", 1000000000000},
             Known{"0.5KiB", 512},
             Known{"1.5KiB", 1536},
             Known{".25MiB", 262144},
         }) {
        EXPECT_EQ(parse_bytes(text, "--kv-memory"), bytes) << text;
    }
}

TEST(ParseBytes, RefusesWhatIsNoAmount) {
    for (const std::string_view text : {"",       " ",      "GiB",   "20 GiB",     " 20GiB",
                                        "20GiB ", "20gib",  "20gb",  "20G",        "20Gi",
                                        "20GiBB", "20PiB",  "-1",    "-5GiB",      "+5GiB",
                                        "1,5GiB", "1.2.3",  "0x10",  "20%",        "nan",
                                        "inf",    "infGiB", "1e400", "5000000TiB", "9999999999999999999",
                                        "twenty"}) {
        expect_error([&] { (void)parse_bytes(text, "--kv-memory"); }, ExitCode::Usage,
                     {"--kv-memory", text, "20GiB"});
    }
}

TEST(BytesText, TakesTheLargestUnitThatFits) {
    EXPECT_EQ(bytes_text(0), "0 B");
    EXPECT_EQ(bytes_text(1023), "1023 B");
    EXPECT_EQ(bytes_text(1024), "1.00 KiB");
    EXPECT_EQ(bytes_text(1536), "1.50 KiB");
    EXPECT_EQ(bytes_text(1048576), "1.00 MiB");
    EXPECT_EQ(bytes_text(1342177280), "1.25 GiB");
    EXPECT_EQ(bytes_text(1ULL << 40), "1.00 TiB");
    EXPECT_EQ(bytes_text(3ULL << 50), "3072.00 TiB");
}

TEST(ParseDuration, ReadsUnitsAndClocks) {
    const std::pair<std::string_view, double> kCases[] = {{"0", 0},
                                                          {"90", 90},
                                                          {"90s", 90},
                                                          {"1.5s", 1.5},
                                                          {"30m", 1800},
                                                          {"1.5h", 5400},
                                                          {"2d", 172800},
                                                          {"02:30", 150},
                                                          {"1:30:00", 5400},
                                                          {"1-00:00:00", 86400},
                                                          {"2-12:00", 173520},
                                                          {"100:00:00", 360000}};
    for (const auto& [text, seconds] : kCases)
        EXPECT_EQ(parse_duration(text, "--time-limit"), seconds) << text;
}

TEST(ParseDuration, RefusesWhatIsNoTime) {
    for (const std::string_view text : {"", " ", "s", "-1", "-5m", "90 s", "1:2:3:4", "1:", ":30", "1:60",
                                        "1h30m", "nan", "inf", "1-", "1-2", "soon", "1e12"}) {
        expect_error([&] { (void)parse_duration(text, "--time-limit"); }, ExitCode::Usage,
                     {"--time-limit", text, "30m"});
    }
}

}  // namespace
}  // namespace sluice
