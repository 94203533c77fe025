#include "checkpoint/safetensors.hpp"

#include "core/json.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <unordered_set>
#include <utility>

namespace sluice {
namespace {

constexpr std::size_t kLengthBytes = 8;

struct FormatType {
    std::string_view name;
    std::size_t size;
    std::optional<DType> type;
};

constexpr std::array<FormatType, 15> kTypes{{{"F32", 4, DType::F32},
                                             {"BF16", 2, DType::BF16},
                                             {"F8_E4M3", 1, DType::F8E4M3},
                                             {"I8", 1, DType::I8},
                                             {"I32", 4, DType::I32},
                                             {"U8", 1, DType::U8},
                                             {"F16", 2, {}},
                                             {"F64", 8, {}},
                                             {"F8_E5M2", 1, {}},
                                             {"BOOL", 1, {}},
                                             {"I16", 2, {}},
                                             {"U16", 2, {}},
                                             {"U32", 4, {}},
                                             {"I64", 8, {}},
                                             {"U64", 8, {}}}};

// Refuses what a parsed header no longer shows or what need not be in memory to be refused: a tensor named
// twice, of which the parser keeps the last, and metadata other than texts. (A callback of the parser itself
// would make parsing quadratic in the number of tensors.)
class HeaderWatcher final : public nlohmann::json_sax<Json> {
public:
    explicit HeaderWatcher(std::string where) : where_(std::move(where)) {}

    bool key(std::string& name) override {
        require(depth_ != 1 || names_.insert(name).second, ExitCode::Checkpoint,
                "{}: tensor {} stands twice in the header", where_, name);
        if (depth_ == 1) in_metadata_ = name == kSafetensorsMetadata;
        return true;
    }
    bool start_object(std::size_t) override { return allow(depth_ == 1) && ++depth_ > 0; }
    bool end_object() override { return --depth_ >= 0; }
    bool start_array(std::size_t) override { return allow(false) && ++depth_ > 0; }
    bool end_array() override { return --depth_ >= 0; }

    bool null() override { return allow(false); }
    bool boolean(bool) override { return allow(false); }
    bool number_integer(std::int64_t) override { return allow(false); }
    bool number_unsigned(std::uint64_t) override { return allow(false); }
    bool number_float(double, const std::string&) override { return allow(false); }
    bool string(std::string&) override { return allow(depth_ == 2); }
    bool binary(Json::binary_t&) override { return allow(false); }
    bool parse_error(std::size_t, const std::string&, const Json::exception&) override { return false; }

private:
    bool allow(bool as_metadata) const {
        require(as_metadata || !in_metadata_, ExitCode::Checkpoint,
                "{}: '{}' in the header is no object of strings", where_, kSafetensorsMetadata);
        return true;
    }

    std::string where_;
    std::unordered_set<std::string> names_;
    int depth_ = 0;
    bool in_metadata_ = false;
};

Json parse_header(std::string_view text, const std::string& where) {
    HeaderWatcher watcher(where);
    Json::sax_parse(text, &watcher);  // what is no JSON is refused below
    Json header = parse_json(text, where + ": header", ExitCode::Checkpoint);
    require(header.is_object(), ExitCode::Checkpoint, "{}: the header is not a JSON object", where);
    return header;
}

const Json& member(const Json& object, const char* key, const std::string& where) {
    const auto found = object.is_object() ? object.find(key) : object.end();
    require(object.is_object() && found != object.end(), ExitCode::Checkpoint, "{}: no '{}' in the header",
            where, key);
    return *found;
}

// Bytes of `count` elements, or nothing where the number leaves 64 bits.
std::optional<std::uint64_t> times(std::uint64_t a, std::uint64_t b) {
    std::uint64_t product = 0;
    if (__builtin_mul_overflow(a, b, &product)) return std::nullopt;
    return product;
}

std::uint64_t shape_bytes(SafetensorsEntry& entry, const Json& shape, std::size_t item,
                          const std::string& where) {
    require(shape.is_array(), ExitCode::Checkpoint, "{}: 'shape' is {}; expected a list", where,
            shape.dump());
    std::optional<std::uint64_t> bytes = item;
    for (const Json& dim : shape) {
        require(dim.is_number_unsigned() && dim.get<std::uint64_t>() <= (1ULL << 48), ExitCode::Checkpoint,
                "{}: dimension {} in 'shape'; expected a non-negative integer", where, dim.dump());
        entry.dims.push_back(dim.get<std::int64_t>());
        bytes = times(*bytes, dim.get<std::uint64_t>());
        require(bytes.has_value(), ExitCode::Checkpoint, "{}: shape {} has more bytes than 64 bits count",
                where, shape.dump());
    }
    return *bytes;
}

SafetensorsEntry parse_entry(const Json& json, std::uint64_t data_bytes, const std::string& where) {
    SafetensorsEntry entry;
    const Json& dtype = member(json, "dtype", where);
    require(dtype.is_string(), ExitCode::Checkpoint, "{}: 'dtype' is {}; expected a string", where,
            dtype.dump());
    entry.dtype = dtype.get<std::string>();
    const auto* const type = std::ranges::find(kTypes, std::string_view(entry.dtype), &FormatType::name);
    require(type != kTypes.end(), ExitCode::Checkpoint, "{}: unsupported dtype {}", where, entry.dtype);
    entry.type = type->type;
    const std::uint64_t expected = shape_bytes(entry, member(json, "shape", where), type->size, where);

    const Json& offsets = member(json, "data_offsets", where);
    require(offsets.is_array() && offsets.size() == 2 && offsets[0].is_number_unsigned() &&
                offsets[1].is_number_unsigned(),
            ExitCode::Checkpoint, "{}: 'data_offsets' is {}; expected two non-negative integers", where,
            offsets.dump());
    const auto begin = offsets[0].get<std::uint64_t>();
    const auto end = offsets[1].get<std::uint64_t>();
    require(begin <= end && end <= data_bytes, ExitCode::Checkpoint,
            "{}: bytes {} to {}, but the file holds {} bytes of tensors: it may be cut short", where, begin,
            end, data_bytes);
    require(end - begin == expected, ExitCode::Checkpoint, "{}: {} bytes stored, but {} {} needs {}", where,
            end - begin, entry.dtype, entry.shape_text(), expected);
    entry.begin = begin;
    entry.end = end;
    return entry;
}

}  // namespace

std::string_view safetensors_name(DType type) {
    const auto* const found = std::ranges::find(kTypes, std::optional(type), &FormatType::type);
    expect(found != kTypes.end(), "no safetensors type for {}", name_of(type));
    return found->name;
}

std::string SafetensorsEntry::shape_text() const { return fmt::format("[{}]", fmt::join(dims, ", ")); }

SafetensorsFile::SafetensorsFile(std::filesystem::path path) : file_(std::move(path)) { read_header(); }

void SafetensorsFile::read_header() {
    const std::string where = path().string();
    require(file_.size() >= kLengthBytes, ExitCode::Checkpoint,
            "{}: {} bytes, too short for a safetensors file: it may be cut short", where, file_.size());
    std::uint64_t length = 0;
    file_.read(0, std::as_writable_bytes(std::span(&length, 1)));
    require(length <= kLongestSafetensorsHeader, ExitCode::Checkpoint,
            "{}: a header of {} bytes, beyond the format's limit of {}: not a safetensors file?", where,
            length, kLongestSafetensorsHeader);
    require(length <= file_.size() - kLengthBytes, ExitCode::Checkpoint,
            "{}: a header of {} bytes, but the file has only {}: it is cut short or not a safetensors file",
            where, length, file_.size());
    std::string text(length, '\0');
    file_.read(kLengthBytes, std::as_writable_bytes(std::span(text)));
    const std::uint64_t data_begin = kLengthBytes + length;
    const Json header = parse_header(text, where);
    for (const auto& [name, json] : header.items()) {
        if (name == kSafetensorsMetadata) continue;
        SafetensorsEntry entry =
            parse_entry(json, file_.size() - data_begin, fmt::format("{}: tensor {}", where, name));
        entry.begin += data_begin;
        entry.end += data_begin;
        tensors_.emplace(name, std::move(entry));
    }
    check_packing(data_begin);
}

void SafetensorsFile::check_packing(std::uint64_t data_begin) const {
    std::vector<std::pair<const SafetensorsEntry*, const std::string*>> order;
    for (const auto& [name, entry] : tensors_) order.emplace_back(&entry, &name);
    std::ranges::sort(order, [](const auto& a, const auto& b) {
        return std::pair(a.first->begin, a.first->end) < std::pair(b.first->begin, b.first->end);
    });
    std::uint64_t at = data_begin;
    const std::string* before = nullptr;
    for (const auto& [entry, name] : order) {
        require(entry->begin >= at, ExitCode::Checkpoint, "{}: tensors {} and {} overlap", path().string(),
                before == nullptr ? "" : *before, *name);
        require(entry->begin == at, ExitCode::Checkpoint,
                "{}: {} unused bytes before tensor {}; the format has none", path().string(),
                entry->begin - at, *name);
        at = entry->end;
        before = name;
    }
    require(at == file_.size(), ExitCode::Checkpoint,
            "{}: {} bytes after the last tensor; the format has none", path().string(), file_.size() - at);
}

}  // namespace sluice
