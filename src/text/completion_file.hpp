// The output of a run: lines that answer requests, and its own journal.
#pragma once

#include "text/answer_lines.hpp"
#include "text/completion.hpp"
#include "text/output_sync.hpp"
#include "text/partial_answers.hpp"
#include "text/posix_file.hpp"
#include "text/resume.hpp"
#include "text/run_record.hpp"
#include "text/score.hpp"

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

namespace sluice {

enum class OutputMode { Fresh, Resume, Overwrite };

struct OutputOptions {
    std::filesystem::path path;  // "-" is standard output
    OutputMode mode = OutputMode::Fresh;
    OutputFormat format = OutputFormat::AsAsked;  // what a resumed run expects
    double sync_seconds = 30;  // a loss of power costs at most the lines of so many seconds; 0: of none
};

// Appends lines to a file, each whole. One process at a time: the file is locked.
//
// A line is the system's when write() returns: the end of this process, however sudden, costs none. What is
// written reaches the disk at the latest `sync_seconds` later, in the background, and when the file is
// closed. A loss of power costs what came after that: a file system that grows a file in order (ext4, XFS)
// loses its end, of which resuming cuts the torn line; one that does not may leave a broken line before the
// last, which resuming names.
class CompletionFile {
public:
    // Opens and locks the output, and changes nothing that exists. Errors: ExitCode::Usage when a file exists
    // and the mode is Fresh, or when a mode other than Fresh is asked of what is no file; ExitCode::File when
    // it cannot be written, or another run writes it.
    explicit CompletionFile(OutputOptions options);
    CompletionFile(CompletionFile&&) = delete;
    ~CompletionFile();  // an output that has just been created, and of which no run began, is removed

    // Holds `record` to the one that an output to be resumed was made with. Errors: those of
    // require_same_run.
    void check(const RunRecord& record) const;

    // Call once, when everything else that can be refused has been. Resume: checks the record, cuts a torn
    // last line, loads the partial answers and returns what is finished. Otherwise empties the output,
    // removes its partial answers and writes the record beside it; the name of each is on the disk then.
    // Errors: those of check, scan_completions and write_run_record.
    Finished begin(const RunRecord& record);

    // What is known of answers that are not written yet. Only a regular file has a file of them.
    PartialAnswers& partials() { return partials_; }

    // Of a line without its newline. Errors: ExitCode::File, with the system's reason. The file then ends
    // with the last whole line. A sync that failed in the background is an error of the next write.
    void write(std::string line);

    // On the disk when it returns, and the partial answers beside it: where these cannot be written, it costs
    // a warning, and a resumed run their computation. Errors: as write.
    void close();
    // The same of an output that answers all of its input: it has no partial answers, and the record tells
    // that it is finished (end mark).
    void finish();

    std::int64_t lines() const { return lines_; }  // in the file

private:
    void open();
    void lock();
    bool resumes() const;
    void close_file();
    void sync();
    [[noreturn]] void fail_writing(int problem);
    [[noreturn]] void fail_syncing(int problem);

    OutputOptions options_;
    PosixFile file_;
    std::unique_ptr<OutputSync> sync_;  // of a regular file, between begin and close; not for 0 seconds
    bool regular_ = false;              // a file, not a pipe, terminal or device
    bool created_ = false;              // by this object
    bool begun_ = false;
    PartialAnswers partials_;
    bool marked_ = false;    // the record has an end mark
    std::int64_t size_ = 0;  // up to the end of the last whole line
    std::int64_t lines_ = 0;
};

}  // namespace sluice
