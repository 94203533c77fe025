// sluice-plan: see --help.
#include "core/program.hpp"
#include "jobs/plan_meshes.hpp"
#include "jobs/plan_model.hpp"
#include "jobs/plan_options.hpp"
#include "jobs/plan_report.hpp"

#include <fmt/core.h>
#include <CLI/CLI.hpp>

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Plans memory and ranks from a model's configuration, without its weights: what each rank would "
        "hold, "
        "how many sequences fit, how fast it could be, and the commands to run.",
        "sluice-plan");
    PlanOptions options;
    add_plan_options(app, options);
    return run_program(argc, argv, app, [&] {
        check_plan_options(options);
        const Plan plan = make_plan(read_planned_model(options.config, options.dtype), options);
        fmt::print("{}", options.json ? plan_json(plan, options) : plan_text(plan, options));
        return ExitCode::Complete;
    });
}
