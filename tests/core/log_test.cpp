#include "core/log.hpp"

#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <string>

namespace sluice {
namespace {

class Log : public testing::Test {
protected:
    ~Log() override {
        set_log_level(LogLevel::Info);
        set_live_line(false);
    }

    // Standard error of a line at each level.
    static std::string shown_at(LogLevel level) {
        set_log_level(level);
        testing::internal::CaptureStderr();
        log_line(LogLevel::Error, "broken");
        log_warning("odd: {}", 1);
        log_info("{} of {}", 2, 3);
        log_debug("detail");
        return testing::internal::GetCapturedStderr();
    }
};

TEST_F(Log, KnowsItsLevels) {
    EXPECT_EQ(parse_log_level("error"), LogLevel::Error);
    EXPECT_EQ(parse_log_level("warning"), LogLevel::Warning);
    EXPECT_EQ(parse_log_level("info"), LogLevel::Info);
    EXPECT_EQ(parse_log_level("debug"), LogLevel::Debug);
    for (const char* name : {"", "Info", "warn", "debug ", "2"}) {
        expect_error([&] { parse_log_level(name); }, ExitCode::Usage,
                     {"'" + std::string(name) + "'", "error, warning, info, debug"});
    }
}

TEST_F(Log, DropsLinesAboveTheLevel) {
    EXPECT_EQ(shown_at(LogLevel::Error), "sluice: error: broken\n");
    EXPECT_EQ(shown_at(LogLevel::Warning), "sluice: error: broken\nsluice: warning: odd: 1\n");
    EXPECT_EQ(shown_at(LogLevel::Info), "sluice: error: broken\nsluice: warning: odd: 1\nsluice: 2 of 3\n");
    EXPECT_EQ(shown_at(LogLevel::Debug),
              "sluice: error: broken\nsluice: warning: odd: 1\nsluice: 2 of 3\nsluice: debug: detail\n");
}

TEST_F(Log, ClearsALiveLineOnce) {
    set_live_line(true);
    EXPECT_EQ(shown_at(LogLevel::Warning), "\r\x1b[Ksluice: error: broken\nsluice: warning: odd: 1\n");
}

TEST_F(Log, ALineThatIsDroppedLeavesALiveLineAlone) {
    set_log_level(LogLevel::Error);
    set_live_line(true);
    testing::internal::CaptureStderr();
    log_info("dropped");
    EXPECT_EQ(testing::internal::GetCapturedStderr(), "");
    EXPECT_EQ(shown_at(LogLevel::Error), "\r\x1b[Ksluice: error: broken\n");
}

}  // namespace
}  // namespace sluice
