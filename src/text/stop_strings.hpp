// Stop strings: the texts at which a completion ends.
#pragma once

#include <cstddef>
#include <string>
#include <string_view>
#include <vector>

namespace sluice {

// Takes a completion piece by piece and finds the first place where a stop string begins, also when it spans
// pieces. When several have arrived with one piece, the one that begins first counts.
class StopMatcher {
public:
    // Empty stop strings are ignored.
    explicit StopMatcher(std::vector<std::string> stops);

    // True: a stop string is in the text. After that, further pieces are dropped.
    bool push(std::string_view piece);

    // The text so far; ends before the stop string once one is found.
    const std::string& text() const { return text_; }

    // How much of text() stays, whatever follows: the rest may be the beginning of a stop string.
    std::size_t settled() const;

    bool stopped() const { return stopped_; }

private:
    std::vector<std::string> stops_;
    std::size_t longest_ = 0;
    std::string text_;
    bool stopped_ = false;
};

}  // namespace sluice
