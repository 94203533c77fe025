// How prompt files are read.
#pragma once

#include "text/partition.hpp"
#include "text/request.hpp"

#include <string>

namespace sluice {

// OpenAi: lines of the OpenAI Batch API. Auto: by file name or content, and of JSON lines each for itself:
// one with a custom_id is the Batch API's.
enum class PromptFormat { Auto, Txt, Jsonl, OpenAi };

struct PromptOptions {
    PromptFormat format = PromptFormat::Auto;
    // Where a JSON line has its prompt, messages or tokens. Then, but for id and meta, no other member is
    // read. Empty: in the members of our own format.
    std::string field = {};
    Sampling defaults = {};
    Purpose purpose = Purpose::Generate;
    Partition partition = {};
    // A line that asks for more is an error. 1 for each part of a txt output, whose lines have no ids:
    // merging parts could not tell the completions of one request from the next request's.
    int most_completions = kMostCompletions;
};

}  // namespace sluice
