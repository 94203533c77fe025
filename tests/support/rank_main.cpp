// main() of tests that run under mpirun. Every rank runs every test; a failure on any rank fails the run.
#include "support/rank_main.hpp"

#include "comm/collectives.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <memory>

namespace sluice::test {
namespace {

std::unique_ptr<Communicator> the_world;

// Rank 0 prints as usual; the others print what fails.
class FailuresOnly : public testing::EmptyTestEventListener {
    void OnTestPartResult(const testing::TestPartResult& result) override {
        if (!result.failed()) return;
        std::fprintf(stderr, "rank %d: %s:%d: %s\n", world().rank(), result.file_name(), result.line_number(),
                     result.message());
    }
};

ExitCode run_all() {
    auto& listeners = testing::UnitTest::GetInstance()->listeners();
    if (world().rank() != 0) {
        delete listeners.Release(listeners.default_result_printer());
        listeners.Append(new FailuresOnly);
    }
    const int result = RUN_ALL_TESTS();
    run_together(world(), "the tests", [&] { expect(result == 0, "tests failed"); });
    return ExitCode::Complete;
}

}  // namespace

Communicator& world() { return *the_world; }

}  // namespace sluice::test

int main(int argc, char** argv) {
    using namespace sluice;
    testing::InitGoogleTest(&argc, argv);
    GTEST_FLAG_SET(catch_exceptions, false);  // an exception on one rank must end the others, too
    test::the_world = make_world(WorldKind::Auto, &argc, &argv);
    const int code = run_job(test::world(), test::run_all);
    test::the_world.reset();
    return code;
}
