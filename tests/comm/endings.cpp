// Ends as the first argument says: a job of any number of ranks for endings_test.cpp.
#include "comm/collectives.hpp"

#include <string_view>

int main(int argc, char** argv) {
    using namespace sluice;
    const std::string_view ending = argc > 1 ? argv[1] : "";
    const auto world = make_world(WorldKind::Auto, &argc, &argv);
    const int last = world->size() - 1;
    return run_job(*world, [&] {
        const bool alone = world->rank() == last;
        if (ending == "abort" && alone) world->abort(7);
        if (ending == "lone" && alone) fail(ExitCode::File, "this rank's disk is full");
        if (ending == "agreed")
            run_together(*world, "reading",
                         [&] { require(!alone, ExitCode::Checkpoint, "the slice is torn"); });
        if (ending == "unwind" && alone) throw 1;  // nobody's error: past run_job, past main
        world->barrier();
        return ending == "stopped" ? ExitCode::Stopped : ExitCode::Complete;
    });
}
