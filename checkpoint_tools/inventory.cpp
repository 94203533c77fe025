#include "checkpoint_tools/inventory.hpp"

#include "checkpoint/in_parallel.hpp"
#include "checkpoint/layout.hpp"

#include <fmt/core.h>

#include <cctype>
#include <map>
#include <mutex>
#include <set>
#include <string_view>

namespace sluice {
namespace {

// Of a whole tensor, or of its parts in so many slices, each with the scales that it needs.
HeldTensor held(const TensorSpec& spec, const ValueForm& form, std::optional<int> slices) {
    const TensorSpec stored = slices ? spec : TensorSpec{spec.name, spec.full};
    const std::vector<int> holders = slices_of(stored, slices.value_or(1));
    HeldTensor held{spec, form.dtype, 0, static_cast<int>(holders.size())};
    for (const int slice : holders)
        held.bytes += slice_part(stored, slice, slices.value_or(1), form.block).bytes(form.dtype);
    return held;
}

// "/layers/12/experts/3/gate" -> "/layers/*/experts/#/gate" with 12 and 3.
struct Pattern {
    std::string text;
    int layer = -1, expert = -1;
};

void replace_number(std::string& text, std::string_view before, char mark, int& number) {
    const std::size_t at = text.find(before);
    if (at == std::string::npos) return;
    const std::size_t begin = at + before.size();
    std::size_t end = begin;
    while (end < text.size() && std::isdigit(static_cast<unsigned char>(text[end])) != 0) ++end;
    number = std::stoi(text.substr(begin, end - begin));
    text.replace(begin, end - begin, 1, mark);
}

Pattern pattern_of(const std::string& name) {
    Pattern pattern{name};
    replace_number(pattern.text, "/layers/", '*', pattern.layer);
    replace_number(pattern.text, "/mtp/", '*', pattern.layer);
    replace_number(pattern.text, "/experts/", '#', pattern.expert);
    return pattern;
}

// {0, 1, 2, 5} -> "0-2,5"
std::string ranges_text(const std::set<int>& numbers) {
    std::string text;
    for (auto at = numbers.begin(); at != numbers.end();) {
        const int first = *at;
        int last = first;
        for (++at; at != numbers.end() && *at == last + 1; ++at) last = *at;
        text += (text.empty() ? "" : ",") + std::to_string(first);
        if (last > first) text += "-" + std::to_string(last);
    }
    return text;
}

void put_ranges(std::string& text, char mark, const std::set<int>& numbers) {
    const std::size_t at = text.find(mark);
    if (at != std::string::npos) text.replace(at, 1, ranges_text(numbers));
}

}  // namespace

Inventory take_inventory(const std::filesystem::path& folder) {
    Inventory inventory;
    inventory.source = open_source(folder);
    std::optional<int> slices;
    if (inventory.source->kind() == SourceKind::Sluice) {
        inventory.own = open_sluice_checkpoint(folder);
        slices = inventory.own->slices();
    }
    for (const TensorSpec& spec : inventory.source->tensors()) {
        inventory.tensors.push_back(held(spec, inventory.source->form(spec), slices));
        inventory.bytes += inventory.tensors.back().bytes;
    }
    return inventory;
}

void summarize_all(Inventory& inventory, int threads,
                   const std::function<void(std::uint64_t done, std::uint64_t total)>& progress) {
    std::mutex mutex;  // of the progress
    std::uint64_t done = 0;
    in_parallel(inventory.tensors.size(), threads, [&](std::size_t index, std::size_t) {
        HeldTensor& tensor = inventory.tensors[index];
        tensor.values = summarize(inventory.source->tensor(tensor.spec));
        const std::lock_guard lock(mutex);
        progress(done += tensor.bytes, inventory.bytes);
    });
}

std::string cut_text(const HeldTensor& tensor, int slices) {
    switch (tensor.spec.cut.along) {
        case Along::Common: return "whole, for every rank";
        case Along::Expert: return "whole, with its expert";
        case Along::Axis: break;
    }
    return fmt::format("{} in {} parts", tensor.spec.cut.axis == 0 ? "rows" : "columns", slices);
}

std::vector<TensorGroup> group_tensors(const std::vector<HeldTensor>& tensors) {
    struct Numbers {
        std::set<int> layers, experts;
    };
    std::vector<TensorGroup> groups;
    std::vector<Numbers> numbers;
    std::map<std::string, std::size_t> index;
    for (const HeldTensor& tensor : tensors) {
        const Pattern pattern = pattern_of(tensor.spec.name);
        const std::string key =
            fmt::format("{} {} {}", pattern.text, tensor.spec.full.text(), name_of(tensor.dtype));
        const auto [found, added] = index.emplace(key, groups.size());
        if (added) {
            groups.push_back({pattern.text, tensor, 0, 0});
            numbers.emplace_back();
            if (tensor.values) groups.back().values.emplace();
        }
        if (tensor.values) groups[found->second].values->add(*tensor.values);
        groups[found->second].count += 1;
        groups[found->second].bytes += tensor.bytes;
        numbers[found->second].layers.insert(pattern.layer);
        numbers[found->second].experts.insert(pattern.expert);
    }
    for (std::size_t i = 0; i < groups.size(); ++i) {
        put_ranges(groups[i].name, '*', numbers[i].layers);
        put_ranges(groups[i].name, '#', numbers[i].experts);
    }
    return groups;
}

}  // namespace sluice
