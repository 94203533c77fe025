#include "support/goldens.hpp"

#include "core/error.hpp"

#include <hdf5.h>

namespace sluice::test {
namespace {

template <class T>
hid_t memory_type();
template <>
hid_t memory_type<float>() {
    return H5T_NATIVE_FLOAT;
}
template <>
hid_t memory_type<std::int32_t>() {
    return H5T_NATIVE_INT32;
}

// HDF5 asks for each group on the way.
bool exists(hid_t file, const std::string& path) {
    for (std::size_t end = path.find('/', 1);; end = path.find('/', end + 1)) {
        if (H5Lexists(file, path.substr(0, end).c_str(), H5P_DEFAULT) <= 0) return false;
        if (end == std::string::npos) return true;
    }
}

template <class T>
void read(hid_t file, const std::string& path, Recorded<T>& out) {
    if (!exists(file, path)) return;
    const hid_t dataset = H5Dopen2(file, path.c_str(), H5P_DEFAULT);
    const hid_t space = H5Dget_space(dataset);
    std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space)));
    H5Sget_simple_extent_dims(space, dims.data(), nullptr);
    out.shape.assign(dims.begin(), dims.end());
    out.values.resize(static_cast<std::size_t>(H5Sget_simple_extent_npoints(space)));
    expect(H5Dread(dataset, memory_type<T>(), H5S_ALL, H5S_ALL, H5P_DEFAULT, out.values.data()) >= 0,
           "cannot read {}", path);
    H5Sclose(space);
    H5Dclose(dataset);
}

// The groups of prompts, in order: under /prompts, or all there are but for those of other things.
std::vector<std::string> prompt_groups(hid_t file) {
    const bool inside = H5Lexists(file, "prompts", H5P_DEFAULT) > 0;
    const hid_t group = H5Gopen2(file, inside ? "prompts" : "/", H5P_DEFAULT);
    std::vector<std::string> names;
    const auto visit = [](hid_t, const char* name, const H5L_info_t*, void* list) -> herr_t {
        static_cast<std::vector<std::string>*>(list)->emplace_back(name);
        return 0;
    };
    H5Literate(group, H5_INDEX_NAME, H5_ITER_INC, nullptr, visit, &names);
    H5Gclose(group);
    std::erase(names, "ppl_public");
    for (std::string& name : names) name = (inside ? "prompts/" : "") + name;
    return names;
}

}  // namespace

Goldens read_goldens(const std::string& model, const std::string& suffix) {
    const std::string path = std::string(SLUICE_TEST_DATA) + "/goldens/" + model + "/goldens.h5";
    const hid_t file = H5Fopen(path.c_str(), H5F_ACC_RDONLY, H5P_DEFAULT);
    expect(file >= 0, "cannot open {}", path);
    Goldens goldens;
    for (const std::string& group : prompt_groups(file)) {
        GoldenPrompt prompt;
        prompt.name = group.substr(group.find('/') + 1);
        read(file, group + "/ids", prompt.ids);
        read(file, group + "/tokens", prompt.ids);
        read(file, group + "/logits" + suffix, prompt.logits);
        read(file, group + "/last_logits" + suffix, prompt.last_logits);
        read(file, group + "/top8_ids" + suffix, prompt.top8_ids);
        read(file, group + "/top8_logits" + suffix, prompt.top8_logits);
        read(file, group + "/greedy_ids" + suffix, prompt.greedy_ids);
        read(file, group + "/token_nll", prompt.token_nll);
        read(file, group + "/greedy_margin", prompt.greedy_margin);
        read(file, group + "/router_gap", prompt.router_gap);
        if (suffix.empty()) {
            read(file, group + "/hidden", prompt.hidden);
            read(file, "hidden/" + prompt.name + "/after_layer", prompt.hidden);
            read(file, group + "/router_ids", prompt.router_ids);
            read(file, group + "/router_weights", prompt.router_weights);
            for (const std::string& at : {group, "router/" + prompt.name}) {
                read(file, at + "/experts", prompt.router_ids);
                read(file, at + "/gates", prompt.router_weights);
            }
            read(file, group + "/router_min_gap", prompt.router_gap);
        }
        goldens.prompts.push_back(std::move(prompt));
    }
    read(file, "ppl_public/ids", goldens.perplexity.ids);
    read(file, "ppl_public/token_nll", goldens.perplexity.token_nll);
    H5Fclose(file);
    return goldens;
}

}  // namespace sluice::test
