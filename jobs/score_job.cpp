#include "jobs/score_job.hpp"

#include "engine/scorer.hpp"
#include "jobs/file_job.hpp"

namespace sluice {

ExitCode score(Communicator& world, const ScoreOptions& options) {
    FileJob job;
    job.name = "scoring";
    job.purpose = Purpose::Score;
    job.defaults = options.sampling;
    job.all_logits = true;
    job.check = [&] { check_score_options(options); };
    job.add_to_record = [&](RunRecord& record) {
        record.add_text("job", "score");
        record.add_json("logprobs", std::to_string(options.sampling.logprobs));
    };
    job.make_loop = [](const FileLoop& loop) {
        return std::make_unique<Scorer>(loop.parts, loop.longest, loop.put_score);
    };
    return run_file_job(world, options, job);
}

}  // namespace sluice
