// The completion file, or the file of scores: one JSON line for each request, and its own journal.
#pragma once

#include "text/posix_file.hpp"
#include "text/request.hpp"
#include "text/resume.hpp"
#include "text/run_record.hpp"
#include "text/score.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <vector>

namespace sluice {

enum class FinishReason { Stop, Length, Error };

struct Completion {
    std::string id;
    std::string id_json;  // what the line's "id" is
    std::string text;
    FinishReason finish_reason = FinishReason::Stop;
    std::int64_t prompt_tokens = 0;
    std::int64_t completion_tokens = 0;
    std::optional<std::vector<Token>> tokens;
    std::string
        logprobs_json;  // a list with an object for each token (to_json in token_logprobs.hpp); empty: none
    std::optional<RequestError> error;
    std::string meta_json;     // empty: none
    int index = 0, n = 1;      // number `index` of its request's n
    std::int64_t ordinal = 0;  // its request's
    Api api = Api::None;       // its request's
    std::string api_model = {};
};

// The record that answers a request that cannot be served.
Completion error_record(const FailedRequest& failed);
Completion error_record(const Request& request, RequestError error);

// The line without its newline; fields that are absent are left out. What is not UTF-8 becomes U+FFFD.
std::string to_json_line(const Completion& completion);

enum class OutputMode { Fresh, Resume, Overwrite };

// Appends completions, or scores, to a file, each line whole. One process at a time: the file is locked.
class CompletionFile {
public:
    // Opens and locks `path` ("-" is standard output), and changes nothing that exists. Errors:
    // ExitCode::Usage when a file exists and the mode is Fresh, or when a mode other than Fresh is asked of
    // what is no file; ExitCode::File when it cannot be written, or another run writes it.
    CompletionFile(std::filesystem::path path, OutputMode mode);
    CompletionFile(CompletionFile&&) = delete;
    ~CompletionFile();  // an output that has just been created, and of which no run began, is removed

    // Call once, when everything else that can be refused has been. Resume: holds `record` to the one that
    // the output was made with, cuts a torn last line and returns what is finished. Otherwise empties the
    // output and writes the record beside it. Errors: those of require_same_run, scan_completions and
    // write_run_record.
    Finished begin(const RunRecord& record);

    // Errors: ExitCode::File, with the system's reason. The file then ends with the last whole line.
    void write(const Completion& completion);
    void write(const Score& score);

    // On the disk when it returns. Errors: as write.
    void close();

private:
    void open(OutputMode mode);
    void lock();
    void write_line(std::string line);
    [[noreturn]] void fail_writing(int problem);

    std::filesystem::path path_;
    OutputMode mode_;
    PosixFile file_;
    bool regular_ = false;  // a file, not a pipe, terminal or device
    bool created_ = false;  // by this object
    bool begun_ = false;
    std::int64_t size_ = 0;  // up to the end of the last whole line
};

}  // namespace sluice
