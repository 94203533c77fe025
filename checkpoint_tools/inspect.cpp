// sluice-inspect: see --help.
#include "checkpoint/layout.hpp"
#include "checkpoint_tools/inventory.hpp"
#include "checkpoint_tools/tensor_values.hpp"
#include "core/json.hpp"
#include "core/program.hpp"
#include "core/units.hpp"

#include <fmt/format.h>
#include <CLI/CLI.hpp>

#include <algorithm>

namespace sluice {
namespace {

struct Kind {
    const char *text, *json;
};

Kind kind_of(const Inventory& inventory) {
    if (inventory.own) return {"Sluice checkpoint", "sluice"};
    if (inventory.foreign->kind() == SourceKind::GrokRelease)
        return {"xAI's release of Grok-1", "grok-release"};
    return {"checkpoint in Hugging Face's layout", "huggingface"};
}

std::string slice_text(int slice) {
    return slice == kCommonIndex ? "common" : fmt::format("slice {}", slice);
}

// A folder's name is any bytes; JSON is UTF-8.
void print_json(const Json& json) {
    fmt::print("{}\n", json.dump(2, ' ', false, Json::error_handler_t::replace));
}

// ---- one tensor

const HeldTensor& find_tensor(const Inventory& inventory, const std::string& name) {
    const auto found =
        std::ranges::find(inventory.tensors, name, [](const HeldTensor& t) { return t.spec.name; });
    require(found != inventory.tensors.end(), ExitCode::Usage,
            "--tensor {}: no such tensor; names look like {}; without --tensor all are listed", name,
            inventory.tensors.front().spec.name);
    return *found;
}

struct LookedAt {
    std::string where;
    Shape shape;
    DType dtype = DType::BF16;
    std::string checksum;
    ValueSummary values;
};

std::vector<LookedAt> look_at(const Inventory& inventory, const TensorSpec& spec) {
    std::vector<LookedAt> parts;
    if (inventory.foreign) {
        const SourceTensor tensor = inventory.foreign->tensor(spec);
        return {{"whole", tensor.shape, tensor.dtype, "", summarize(tensor)}};
    }
    for (const int slice : slices_of(spec, inventory.own->slices())) {
        const TensorSlice part = inventory.own->read(spec, slice);
        parts.push_back({slice_text(slice), part.shape, part.dtype, inventory.own->find(spec, slice).checksum,
                         summarize(part)});
    }
    return parts;
}

void print_tensor(const Inventory& inventory, const std::string& name) {
    const HeldTensor& tensor = find_tensor(inventory, name);
    fmt::print("{} {} {}, {}\n", name, tensor.spec.full.text(), name_of(tensor.dtype),
               bytes_text(tensor.bytes));
    for (const LookedAt& part : look_at(inventory, tensor.spec)) {
        const ValueSummary& values = part.values;
        fmt::print("{:<10} {}  min {:.6g}, max {:.6g}, mean {:.6g}", part.where, part.shape.text(),
                   values.least, values.greatest, values.mean);
        if (values.nans > 0) fmt::print(", {} NaN", values.nans);
        fmt::print("\n           first {:.6g}\n", fmt::join(values.first, ", "));
    }
}

void print_tensor_json(const Inventory& inventory, const std::string& name) {
    const HeldTensor& tensor = find_tensor(inventory, name);
    Json json{{"name", name},
              {"shape", Json::parse(tensor.spec.full.text())},
              {"dtype", name_of(tensor.dtype)},
              {"bytes", tensor.bytes},
              {"parts", Json::array()}};
    for (const LookedAt& part : look_at(inventory, tensor.spec)) {
        const ValueSummary& values = part.values;
        json["parts"].push_back({{"part", part.where},
                                 {"shape", Json::parse(part.shape.text())},
                                 {"first", values.first},
                                 {"min", values.least},
                                 {"max", values.greatest},
                                 {"mean", values.mean},
                                 {"nan", values.nans}});
        if (!part.checksum.empty()) json["parts"].back()["xxh3_64"] = part.checksum;
    }
    print_json(json);
}

// ---- the whole checkpoint

void print_head(const Inventory& inventory, const std::string& folder) {
    fmt::print("{}: {}\n", folder, kind_of(inventory).text);
    fmt::print("  model    {}\n", model_text(inventory.config()));
    const Quantization& quantization = inventory.config().quantization;
    if (quantization.dtype == DType::F8E4M3) {
        fmt::print("  matrices {} in blocks of {} x {}\n", name_of(quantization.dtype),
                   quantization.block_rows, quantization.block_cols);
    }
    if (quantization.dtype == DType::I8)
        fmt::print("  matrices {}, scales by rows\n", name_of(quantization.dtype));
    if (inventory.own) {
        fmt::print("  slices   {}\n  id       {}\n", inventory.own->slices(), inventory.own->id());
        std::vector<std::string> provenance;
        for (const auto& [key, value] : inventory.own->provenance())
            provenance.push_back(fmt::format("{} {}", key, value));
        fmt::print("  made     {}\n", fmt::join(provenance, ", "));
    }
    std::vector<std::string> files;
    for (const auto& [name, text] : inventory.text_files())
        files.push_back(fmt::format("{} ({})", name, bytes_text(text.size())));
    fmt::print("  files    {}\n", files.empty() ? "no tokenizer" : fmt::format("{}", fmt::join(files, ", ")));
    fmt::print("  tensors  {}, {}\n\n", inventory.tensors.size(), bytes_text(inventory.bytes));
}

void print_all(const Inventory& inventory, const std::string& folder) {
    print_head(inventory, folder);
    const std::vector<TensorGroup> groups = group_tensors(inventory.tensors);
    std::size_t width = 4;
    for (const TensorGroup& group : groups) width = std::max(width, group.name.size());
    fmt::print("{:<{}}  {:>6}  {:<16} {:<14} {:>12}  {}\n", "name", width, "count", "shape", "type", "size",
               inventory.own ? "cut" : "");
    for (const TensorGroup& group : groups) {
        fmt::print("{:<{}}  {:>6}  {:<16} {:<14} {:>12}  {}\n", group.name, width, group.count,
                   group.first.spec.full.text(), name_of(group.first.dtype), bytes_text(group.bytes),
                   inventory.own ? cut_text(group.first, inventory.own->slices()) : "");
    }
}

void print_all_json(const Inventory& inventory, const std::string& folder) {
    Json json{{"folder", folder},
              {"kind", kind_of(inventory).json},
              {"family", inventory.config().family},
              {"layers", inventory.config().layers.size()},
              {"dim", inventory.config().dim},
              {"vocab", inventory.config().vocab},
              {"bytes", inventory.bytes},
              {"files", Json::object()},
              {"tensors", Json::array()}};
    for (const auto& [name, text] : inventory.text_files()) json["files"][name] = text.size();
    if (inventory.own) {
        json["slices"] = inventory.own->slices();
        json["checkpoint_id"] = inventory.own->id();
        json["provenance"] = inventory.own->provenance();
    }
    for (const HeldTensor& tensor : inventory.tensors) {
        json["tensors"].push_back({{"name", tensor.spec.name},
                                   {"shape", Json::parse(tensor.spec.full.text())},
                                   {"dtype", name_of(tensor.dtype)},
                                   {"bytes", tensor.bytes}});
        if (inventory.own) json["tensors"].back()["parts"] = tensor.parts;
    }
    print_json(json);
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Shows what a checkpoint holds: a Sluice one, a folder with config.json and safetensors, or xAI's "
        "release of Grok-1 (ckpt-0).",
        "sluice-inspect");
    std::string folder;
    std::string tensor;
    bool as_json = false;
    app.add_option("DIR", folder, "Checkpoint folder")->required()->type_name("")->group("Input");
    app.add_option("--tensor", tensor, "Show one tensor's values, by its name such as /layers/0/attention/o")
        ->type_name("NAME")
        ->group("Output");
    app.add_flag("--json", as_json, "Print JSON instead of a table")->group("Output");
    return run_program(argc, argv, app, [&] {
        const Inventory inventory = take_inventory(folder);
        if (tensor.empty()) {
            as_json ? print_all_json(inventory, folder) : print_all(inventory, folder);
        } else {
            as_json ? print_tensor_json(inventory, tensor) : print_tensor(inventory, tensor);
        }
        return ExitCode::Complete;
    });
}
