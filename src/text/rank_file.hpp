// Tokens by rank as tiktoken writes them: a line "BASE64 RANK" for each token.
#pragma once

#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Whether the file's first line is such a line.
bool is_rank_file(std::string_view text);

// The bytes of each token; its index is its rank. Errors: ExitCode::Checkpoint, naming `where` and the line.
std::vector<std::string> read_rank_file(std::string_view text, const std::string& where);

}  // namespace sluice
