#include "comm/collectives.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <stdexcept>

namespace sluice::test {
namespace {

using testing::HasSubstr;

// Takes the launchers' variables away for the length of a test.
class World : public testing::Test {
protected:
    void SetUp() override {
        for (const char* name :
             {"OMPI_COMM_WORLD_SIZE", "PMIX_RANK", "PMI_RANK", "PMI_SIZE", "SLURM_STEP_NUM_TASKS"})
            unsetenv(name);
    }
    void TearDown() override { SetUp(); }
};

TEST_F(World, IsOneRankWithoutALauncher) {
    EXPECT_FALSE(launched_by_mpi());
    const auto world = make_world(WorldKind::Auto, nullptr, nullptr);
    EXPECT_EQ(world->size(), 1);
    setenv("SLURM_STEP_NUM_TASKS", "1", 1);
    EXPECT_EQ(make_world(WorldKind::Auto, nullptr, nullptr)->size(), 1);
}

TEST_F(World, KnowsALauncher) {
    setenv("PMIX_RANK", "0", 1);
    EXPECT_TRUE(launched_by_mpi());
}

TEST_F(World, RefusesProcessesThatDoNotSeeEachOther) {
    setenv("SLURM_STEP_NUM_TASKS", "4", 1);
    try {
        make_world(WorldKind::Auto, nullptr, nullptr);
        FAIL() << "nothing thrown";
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Usage);
        EXPECT_THAT(error.what(), HasSubstr("started 4 processes"));
        EXPECT_THAT(error.what(), HasSubstr("srun --mpi=pmix"));
    }
}

TEST(RunJob, TurnsErrorsIntoExitCodesAndMessages) {
    const auto self = make_self();
    EXPECT_EQ(run_job(*self, [] { return ExitCode::SomeErrors; }), 5);

    testing::internal::CaptureStderr();
    EXPECT_EQ(run_job(*self, []() -> ExitCode { fail(ExitCode::File, "no such file: x"); }), 4);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("error: no such file: x\n"));

    testing::internal::CaptureStderr();
    EXPECT_EQ(run_job(*self, []() -> ExitCode { throw std::runtime_error("odd"); }), 1);
    EXPECT_THAT(testing::internal::GetCapturedStderr(), HasSubstr("error: odd\n"));
}

TEST(RunTogether, LetsAnAbortPass) {
    const auto work = [](Communicator& comm) {
        run_together(comm, "phase", [&] {
            if (comm.rank() == 0) comm.abort(4);
        });
    };
    EXPECT_THROW(run_on_threads(3, work), Aborted);
}

}  // namespace
}  // namespace sluice::test
