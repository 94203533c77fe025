#include "text/stop_strings.hpp"

#include <algorithm>

namespace sluice {

StopMatcher::StopMatcher(std::vector<std::string> stops) : stops_(std::move(stops)) {
    std::erase_if(stops_, [](const std::string& stop) { return stop.empty(); });
    for (const std::string& stop : stops_) longest_ = std::max(longest_, stop.size());
}

bool StopMatcher::push(std::string_view piece) {
    if (stopped_ || piece.empty()) return stopped_;
    // Whatever begins earlier than this was already whole, and would have been found.
    const std::size_t tail = text_.size() - std::min(text_.size(), longest_ == 0 ? 0 : longest_ - 1);
    text_ += piece;
    std::size_t cut = std::string::npos;
    for (const std::string& stop : stops_) cut = std::min(cut, text_.find(stop, tail));
    stopped_ = cut != std::string::npos;
    if (stopped_) text_.resize(cut);
    return stopped_;
}

std::size_t StopMatcher::settled() const {
    if (stopped_) return text_.size();
    std::size_t open = 0;
    for (const std::string_view stop : stops_)
        for (std::size_t length = std::min(stop.size() - 1, text_.size()); length > open; --length)
            if (text_.ends_with(stop.substr(0, length))) open = length;
    return text_.size() - open;
}

}  // namespace sluice
