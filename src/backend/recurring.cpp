#include "backend/recurring.hpp"

#include <algorithm>
#include <utility>

namespace sluice {

void Recurring::run(Key key, const std::function<void()>& queue) {
    std::erase_if(entries_, [&](const Entry& entry) { return entry.workspace != ops_.workspace(); });
    const auto known = std::ranges::find(entries_, key, &Entry::key);
    if (known == entries_.end()) {
        queue();
        if (entries_.size() == most_) entries_.pop_back();
        entries_.push_front({std::move(key), ops_.workspace(), nullptr});
        return;
    }
    entries_.splice(entries_.begin(), entries_, known);
    if (known->recording == nullptr) known->recording = ops_.record(queue);
    known->recording->replay();
}

}  // namespace sluice
