// sluice-inspect: see --help.
#include "checkpoint/in_parallel.hpp"
#include "checkpoint/layout.hpp"
#include "checkpoint_tools/inventory.hpp"
#include "checkpoint_tools/progress.hpp"
#include "core/json.hpp"
#include "core/log.hpp"
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
    switch (inventory.source->kind()) {
        case SourceKind::Sluice: return {"Sluice checkpoint", "sluice"};
        case SourceKind::GrokRelease: return {"xAI's release of Grok-1", "grok-release"};
        case SourceKind::HuggingFace: break;
    }
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

std::string values_text(const ValueSummary& values) {
    std::string text =
        fmt::format("min {:.6g}, max {:.6g}, mean {:.6g}", values.least, values.greatest, values.mean());
    if (values.nans > 0) text += fmt::format(", {} NaN", values.nans);
    if (values.infinite > 0) text += fmt::format(", {} infinite", values.infinite);
    return text;
}

void add_values(Json& json, const ValueSummary& values) {
    json["min"] = values.least;
    json["max"] = values.greatest;
    json["mean"] = values.mean();
    json["nan"] = values.nans;
    json["infinite"] = values.infinite;
}

void print_tensor(const Inventory& inventory, const std::string& name) {
    const HeldTensor& tensor = find_tensor(inventory, name);
    const ValueSummary values = summarize(inventory.source->tensor(tensor.spec));
    fmt::print("{} {} {}, {}\n", name, tensor.spec.full.text(), name_of(tensor.dtype),
               bytes_text(tensor.bytes));
    fmt::print("  values   {}\n  first    {:.6g}\n", values_text(values), fmt::join(values.first, ", "));
    if (!inventory.own) return;
    for (const int slice : slices_of(tensor.spec, inventory.own->slices())) {
        const StoredPart part = inventory.own->find(tensor.spec, slice);
        fmt::print("  {:<8} {}, xxh3-64 {}\n", slice_text(slice), part.shape.text(), part.values.checksum);
    }
}

void print_tensor_json(const Inventory& inventory, const std::string& name) {
    const HeldTensor& tensor = find_tensor(inventory, name);
    const ValueSummary values = summarize(inventory.source->tensor(tensor.spec));
    Json json{{"name", name},
              {"shape", Json::parse(tensor.spec.full.text())},
              {"dtype", name_of(tensor.dtype)},
              {"bytes", tensor.bytes},
              {"first", values.first}};
    add_values(json, values);
    if (inventory.own) {
        json["parts"] = Json::array();
        for (const int slice : slices_of(tensor.spec, inventory.own->slices())) {
            const StoredPart part = inventory.own->find(tensor.spec, slice);
            json["parts"].push_back({{"part", slice_text(slice)},
                                     {"shape", Json::parse(part.shape.text())},
                                     {"bytes", part.bytes()},
                                     {"xxh3_64", part.values.checksum}});
        }
    }
    print_json(json);
}

// ---- the whole checkpoint

void print_head(const Inventory& inventory, const std::string& folder) {
    fmt::print("{}: {}\n", folder, kind_of(inventory).text);
    fmt::print("  model    {}\n", model_text(inventory.source->config()));
    const Quantization& quantization = inventory.source->config().quantization;
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
    for (const auto& [name, text] : inventory.source->text_files())
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
        if (group.values) fmt::print("{:<{}}  {:>6}  {}\n", "", width, "", values_text(*group.values));
    }
}

void print_all_json(const Inventory& inventory, const std::string& folder) {
    Json json{{"folder", folder},
              {"kind", kind_of(inventory).json},
              {"family", inventory.source->config().family},
              {"layers", inventory.source->config().layers.size()},
              {"dim", inventory.source->config().dim},
              {"vocab", inventory.source->config().vocab},
              {"bytes", inventory.bytes},
              {"files", Json::object()},
              {"tensors", Json::array()}};
    for (const auto& [name, text] : inventory.source->text_files()) json["files"][name] = text.size();
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
        if (tensor.values) add_values(json["tensors"].back(), *tensor.values);
    }
    print_json(json);
}

// ---- the program

struct Options {
    std::string folder, tensor;
    bool stats = false, json = false;
    int threads = 0;
};

void summarize_all(Inventory& inventory, const Options& options) {
    ProgressLine line("reading " + options.folder);
    summarize_all(inventory, usable_threads(options.threads),
                  [&](std::uint64_t done, std::uint64_t total) { line.update(done, total); });
    line.clear();
    log_info("read {} in {:.1f} s ({:.2f} GB/s)", bytes_text(inventory.bytes), line.seconds(),
             static_cast<double>(inventory.bytes) / 1e9 / line.seconds());
}

void inspect(const Options& options) {
    Inventory inventory = take_inventory(options.folder);
    if (!options.tensor.empty())
        return options.json ? print_tensor_json(inventory, options.tensor)
                            : print_tensor(inventory, options.tensor);
    if (options.stats) summarize_all(inventory, options);
    options.json ? print_all_json(inventory, options.folder) : print_all(inventory, options.folder);
}

void add_options(CLI::App& app, Options& options) {
    app.add_option("DIR", options.folder, "Checkpoint folder")->required()->type_name("")->group("Input");
    app.add_option("--tensor", options.tensor,
                   "Show one tensor's values, by its name such as /layers/0/attention/o")
        ->type_name("NAME")
        ->group("Output");
    app.add_flag("--stats", options.stats,
                 "Also read all values: least, greatest and mean, and how many are NaN or infinite")
        ->group("Output");
    app.add_flag("--json", options.json, "Print JSON instead of a table")->group("Output");
    app.add_option("--threads", options.threads,
                   "Threads that read values; 0: one for each processor it may use")
        ->check(CLI::Range(0, 1024).description(""))
        ->type_name("N")
        ->capture_default_str()
        ->group("Program");
}

}  // namespace
}  // namespace sluice

int main(int argc, char** argv) {
    using namespace sluice;
    CLI::App app(
        "Shows what a checkpoint holds: a Sluice one, a folder with config.json and safetensors, or xAI's "
        "release of Grok-1 (ckpt-0).",
        "sluice-inspect");
    Options options;
    add_options(app, options);
    return run_program(argc, argv, app, [&] {
        inspect(options);
        return ExitCode::Complete;
    });
}
