// make_checkpoint wide FOLDER | make_checkpoint large FOLDER MEBIBYTES: a checkpoint with random weights, for
// the sharding tool to work on.
#include "core/error.hpp"
#include "support/synthetic_checkpoint.hpp"

#include <cstdlib>
#include <iostream>
#include <string>
#include <vector>

int main(int argc, char** argv) {
    using namespace sluice::test;
    const std::vector<std::string> words(argv + 1, argv + argc);
    const bool wide = words.size() == 2 && words[0] == "wide";
    const bool large = words.size() == 3 && words[0] == "large";
    if (!wide && !large) {
        std::cerr << "usage: make_checkpoint wide FOLDER | make_checkpoint large FOLDER MEBIBYTES\n";
        return 2;
    }
    try {
        make_checkpoint(wide ? wide_config() : large_config(std::atoi(words[2].c_str())), 1, words[1]);
    } catch (const std::exception& problem) {
        std::cerr << "make_checkpoint: " << problem.what() << '\n';
        return 1;
    }
    return 0;
}
