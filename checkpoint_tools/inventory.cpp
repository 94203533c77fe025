#include "checkpoint_tools/inventory.hpp"

#include "checkpoint/layout.hpp"
#include "core/error.hpp"

#include <algorithm>
#include <cctype>
#include <set>
#include <utility>

namespace sluice {
namespace {

std::uint64_t foreign_bytes(const TensorSpec& spec, const SourceForm& form) {
    const SlicePart whole = slice_part({spec.name, spec.full}, kCommonIndex, 1, form.block);
    return static_cast<std::uint64_t>(spec.full.elements()) * size_of(form.dtype) +
           static_cast<std::uint64_t>(whole.scale_rows.size() * whole.scale_cols.size()) * sizeof(float);
}

HeldTensor held_in(SluiceCheckpoint& checkpoint, TensorSpec spec) {
    HeldTensor held;
    const std::vector<int> slices = slices_of(spec, checkpoint.slices());
    held.parts = static_cast<int>(slices.size());
    for (const int slice : slices) {
        const StoredPart part = checkpoint.find(spec, slice);
        held.dtype = part.dtype;
        held.bytes += part.bytes;
    }
    held.spec = std::move(spec);
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
    if (is_sluice_checkpoint(folder)) {
        inventory.own = open_sluice_checkpoint(folder);
    } else {
        inventory.foreign = open_source(folder);
    }
    for (TensorSpec& spec : tensor_catalog(inventory.config())) {
        if (inventory.own) {
            inventory.tensors.push_back(held_in(*inventory.own, std::move(spec)));
        } else {
            const SourceForm form = inventory.foreign->form(spec);
            const std::uint64_t bytes = foreign_bytes(spec, form);
            inventory.tensors.push_back({std::move(spec), form.dtype, bytes, 1});
        }
        inventory.bytes += inventory.tensors.back().bytes;
    }
    return inventory;
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
        }
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
