#include "engine/page_pool.hpp"

#include "core/error.hpp"
#include "kernels/random.hpp"

#include <algorithm>

namespace sluice {
namespace {

std::uint64_t content_hash(std::uint64_t before, std::span<const Token> tokens) {
    std::uint64_t hash = kernels::mix64(before);
    for (const Token token : tokens) hash = kernels::mix64(hash ^ static_cast<std::uint32_t>(token));
    return hash;
}

}  // namespace

PagePool::PagePool(int pages) : pages_(static_cast<std::size_t>(pages)) {
    for (PageId page = pages - 1; page >= 0; --page) free_.push_back(page);
}

std::optional<PageId> PagePool::take() {
    if (free_.empty()) {
        if (unused_.empty()) return std::nullopt;
        const PageId oldest = unused_.front();
        unused_.pop_front();
        forget(oldest);
        free_.push_back(oldest);
    }
    const PageId page = free_.back();
    free_.pop_back();
    at(page).holders = 1;
    return page;
}

void PagePool::give_back(PageId page) {
    Page& entry = at(page);
    expect(entry.holders > 0, "page {} is given back but nobody holds it", page);
    if (--entry.holders > 0) return;
    if (entry.text == 0) {
        free_.push_back(page);
    } else {
        entry.unused = unused_.insert(unused_.end(), page);
    }
}

PageId PagePool::publish(PageId page, std::optional<PageId> before, std::span<const Token> tokens) {
    if (const auto known = find(before, tokens)) {
        give_back(page);
        return *known;
    }
    const std::uint64_t text_before = text_of(before);
    Page& entry = at(page);
    expect(entry.text == 0 && text_before != 0, "page {} is named twice, or after a page without a name",
           page);
    entry.text = next_text_++;
    entry.before = text_before;
    entry.tokens.assign(tokens.begin(), tokens.end());
    by_content_.emplace(content_hash(text_before, tokens), page);
    return page;
}

std::optional<PageId> PagePool::find(std::optional<PageId> before, std::span<const Token> tokens) {
    const PageId page = known_by(text_of(before), tokens);
    if (page < 0) return std::nullopt;
    Page& entry = at(page);
    if (entry.holders++ == 0) unused_.erase(entry.unused);
    return page;
}

// Compares the tokens themselves: a collision of hashes costs a look, never a wrong page.
PageId PagePool::known_by(std::uint64_t before, std::span<const Token> tokens) const {
    const auto [first, last] = by_content_.equal_range(content_hash(before, tokens));
    for (auto entry = first; entry != last; ++entry) {
        const Page& page = pages_[static_cast<std::size_t>(entry->second)];
        if (page.before == before && std::ranges::equal(page.tokens, tokens)) return entry->second;
    }
    return -1;
}

void PagePool::forget(PageId page) {
    Page& entry = at(page);
    const auto [first, last] = by_content_.equal_range(content_hash(entry.before, entry.tokens));
    for (auto known = first; known != last; ++known) {
        if (known->second != page) continue;
        by_content_.erase(known);
        break;
    }
    entry.text = 0;
    entry.tokens.clear();
}

}  // namespace sluice
