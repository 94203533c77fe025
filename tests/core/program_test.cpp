#include "core/program.hpp"

#include <gtest/gtest.h>

#include <filesystem>
#include <new>
#include <stdexcept>
#include <system_error>

namespace sluice {
namespace {

TEST(Explain, GivesEveryExceptionItsExitCode) {
    const Problem own = explain(Error(ExitCode::Checkpoint, "no such model"));
    EXPECT_EQ(own.code, ExitCode::Checkpoint);
    EXPECT_EQ(own.message, "no such model");

    const Problem memory = explain(std::bad_alloc());
    EXPECT_EQ(memory.code, ExitCode::Internal);
    EXPECT_NE(memory.message.find("out of memory"), std::string::npos);

    const auto denied = std::make_error_code(std::errc::permission_denied);
    const Problem file = explain(std::filesystem::filesystem_error("open", "there", denied));
    EXPECT_EQ(file.code, ExitCode::File);
    EXPECT_NE(file.message.find("there"), std::string::npos);

    const Problem other = explain(std::logic_error("unforeseen"));
    EXPECT_EQ(other.code, ExitCode::Internal);
    EXPECT_EQ(other.message, "unforeseen");
}

}  // namespace
}  // namespace sluice
