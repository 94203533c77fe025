// The pages of the KV cache: who holds them, and which hold a known beginning of a text.
#pragma once

#include "text/request.hpp"

#include <cstdint>
#include <list>
#include <optional>
#include <span>
#include <unordered_map>
#include <vector>

namespace sluice {

using PageId = std::int32_t;

// Integers only: no tensors. A page is held by any number of sequences, or kept for its content until its
// room is needed (the longest unused goes first).
class PagePool {
public:
    explicit PagePool(int pages);

    // A page of unknown content, held once; none when every page is held.
    std::optional<PageId> take();
    void give_back(PageId page);

    // The page is full and holds `tokens` after the text that page `before` ends (none: at the beginning).
    // From now on find() may hand it out. Returns the page to use from now on: where another one is known by
    // that content, that one, held instead of `page`, which is given back.
    PageId publish(PageId page, std::optional<PageId> before, std::span<const Token> tokens);
    // The page of that content, held once more.
    std::optional<PageId> find(std::optional<PageId> before, std::span<const Token> tokens);

    int size() const { return static_cast<int>(pages_.size()); }
    int available() const { return static_cast<int>(free_.size() + unused_.size()); }
    int held() const { return size() - available(); }

private:
    struct Page {
        int holders = 0;
        std::uint64_t text = 0;    // names the whole text up to this page's end; 0: unknown
        std::uint64_t before = 0;  // the text before
        std::vector<Token> tokens;
        std::list<PageId>::iterator unused;
    };

    Page& at(PageId page) { return pages_[static_cast<std::size_t>(page)]; }
    std::uint64_t text_of(std::optional<PageId> page) { return page ? at(*page).text : kBeginning; }
    PageId known_by(std::uint64_t before, std::span<const Token> tokens) const;
    void forget(PageId page);

    static constexpr std::uint64_t kBeginning = 1;

    std::vector<Page> pages_;
    std::vector<PageId> free_;  // of unknown content
    std::list<PageId> unused_;  // of known content and without holder, the longest unused first
    std::unordered_multimap<std::uint64_t, PageId> by_content_;
    std::uint64_t next_text_ = kBeginning + 1;
};

}  // namespace sluice
