#include "checkpoint/hdf5_object.hpp"

#include <algorithm>
#include <array>
#include <functional>
#include <vector>

namespace sluice {
namespace {

using namespace std::string_view_literals;

// Messages (IV.A.2).
enum : std::uint16_t {
    kNil = 0x0000,
    kDataspace = 0x0001,
    kDatatype = 0x0003,
    kFillValue = 0x0005,
    kLayout = 0x0008,
    kAttribute = 0x000c,
    kContinuation = 0x0010,
    kSymbolTable = 0x0011,
    kFileSpaceInfo = 0x0017,
};

constexpr std::size_t kMostContinuations = 64;
constexpr std::size_t kMostAttributes = 32;
constexpr std::size_t kLongestAttributeName = 255;
constexpr std::uint64_t kMostDimensions = 4;
constexpr std::uint64_t kMostElements = std::uint64_t{1} << 48;  // sizes in bytes stay far from 64 bits
constexpr std::string_view kDTypeAttribute = "dtype";

// The types that Sluice writes, to the bit (IV.A.2.d): class and version, fields, size, and where the bits of
// a number stand.
struct StoredType {
    DType dtype;
    std::string_view message;
};
constexpr std::string_view kInt32 = "\x10\x08\0\0\x04\0\0\0\0\0\x20\0"sv;
constexpr std::array kTypes{
    StoredType{DType::F32, "\x11\x20\x1f\0\x04\0\0\0\0\0\x20\0\x17\x08\0\x17\x7f\0\0\0"sv},
    StoredType{DType::BF16, "\x11\x20\x0f\0\x02\0\0\0\0\0\x10\0\x07\x08\0\x07\x7f\0\0\0"sv},
    StoredType{DType::I32, kInt32},
    StoredType{DType::I8, "\x10\x08\0\0\x01\0\0\0\0\0\x08\0"sv},
    StoredType{DType::U8, "\x10\0\0\0\x01\0\0\0\0\0\x08\0"sv},
};
constexpr std::string_view kText = "\x13\0\0\0"sv;  // ends with a zero, ASCII; its size follows
constexpr std::uint64_t kTextTypeBytes = 8;

constexpr std::uint64_t padded(std::uint64_t bytes) { return (bytes + 7) / 8 * 8; }

void expect_padding(Hdf5Cursor& cursor) {
    if (cursor.left() >= 8) cursor.refuse("{} bytes too many in a message", cursor.left());
    cursor.expect_number(cursor.left(), 0, "padding");
}

Shape read_dataspace(Hdf5Cursor cursor) {
    cursor.expect_number(1, 1, "a dataspace of version");
    const std::uint64_t rank = cursor.number(1);
    if (rank > kMostDimensions) cursor.refuse("{} dimensions; Sluice writes up to {}", rank, kMostDimensions);
    cursor.expect_number(1, rank > 0 ? 1 : 0, "dataspace flags");
    cursor.expect_number(5, 0, "reserved bytes");
    Shape shape;
    std::uint64_t room = kMostElements;
    for (std::uint64_t axis = 0; axis < rank; ++axis) {
        const std::uint64_t dim = cursor.number(8);
        if (dim > room) cursor.refuse("more than {} elements", kMostElements);
        room /= std::max<std::uint64_t>(dim, 1);
        shape.append(static_cast<std::int64_t>(dim));
    }
    for (int axis = 0; axis < shape.rank(); ++axis)
        cursor.expect_number(8, static_cast<std::uint64_t>(shape[axis]), "an extensible dimension: up to");
    expect_padding(cursor);
    return shape;
}

DType read_datatype(Hdf5Cursor cursor) {
    const std::string_view message = cursor.text(cursor.left());
    const auto found = std::ranges::find_if(kTypes, [&](const StoredType& type) {
        return message.starts_with(type.message) && message.size() == padded(type.message.size()) &&
               message.find_first_not_of('\0', type.message.size()) == std::string_view::npos;
    });
    if (found == kTypes.end()) cursor.refuse("elements of a type that Sluice does not write");
    return found->dtype;
}

void check_fill_value(Hdf5Cursor cursor) {
    cursor.expect_number(1, 2, "a fill value message of version");
    const std::uint64_t allocation = cursor.number(1);
    if (allocation != 1 && allocation != 2)
        cursor.refuse("space is allocated at time {}; Sluice writes 1 or 2", allocation);
    cursor.expect_number(1, 1, "fill values are written at time");
    cursor.expect_number(1, 1, "fill value defined:");
    cursor.expect_number(4, 0, "a fill value of size");
    expect_padding(cursor);
}

struct Layout {
    std::uint64_t address = kNoAddress, bytes = 0;
};

Layout read_layout(Hdf5Cursor cursor) {
    cursor.expect_number(1, 3, "a layout message of version");
    const std::uint64_t layout = cursor.number(1);
    if (layout != 1)
        cursor.refuse("values stored {}; Sluice writes them in one piece", layout == 0 ? "in the header"
                                                                           : layout == 2
                                                                               ? "in chunks"
                                                                               : "in an unknown way");
    Layout found;
    found.address = cursor.number(8);
    found.bytes = cursor.number(8);
    expect_padding(cursor);
    return found;
}

void read_attribute(Hdf5Cursor cursor, Hdf5Attributes& attributes) {
    cursor.expect_number(2, 1, "an attribute message of version");
    const std::uint64_t name_bytes = cursor.number(2);
    const std::uint64_t type_bytes = cursor.number(2);
    cursor.expect_number(2, 8, "an attribute's dataspace of size");
    const std::string_view stored = cursor.text(padded(name_bytes));
    const std::string name(stored.substr(0, stored.find('\0')));
    if (!usable_hdf5_name(name) || name.size() > kLongestAttributeName || name.size() + 1 != name_bytes)
        cursor.refuse("an attribute without a usable name of up to {} bytes", kLongestAttributeName);
    if (attributes.texts.contains(name) || attributes.numbers.contains(name))
        cursor.refuse("attribute {} twice", name);
    if (attributes.texts.size() + attributes.numbers.size() == kMostAttributes)
        cursor.refuse("more than {} attributes", kMostAttributes);

    const std::string_view type = cursor.text(padded(type_bytes));
    const bool is_number = type_bytes == kInt32.size() && type.starts_with(kInt32);
    if (!is_number && (type_bytes != kTextTypeBytes || !type.starts_with(kText)))
        cursor.refuse("attribute {} is neither text of a fixed length nor an int32", name);
    std::uint64_t text_bytes = 0;
    for (std::size_t i = kTextTypeBytes; !is_number && i-- > kText.size();)
        text_bytes = text_bytes << 8 | static_cast<std::uint8_t>(type[i]);
    cursor.expect_number(8, 1, "an attribute's dataspace");  // version 1, no dimensions
    if (is_number) {
        const auto value = static_cast<std::int32_t>(static_cast<std::uint32_t>(cursor.number(4)));
        attributes.numbers.emplace(name, value);
    } else {
        const std::string_view text = cursor.text(text_bytes);
        if (text.find('\0') == std::string_view::npos) cursor.refuse("attribute {} does not end", name);
        attributes.texts.emplace(name, text.substr(0, text.find('\0')));
    }
    expect_padding(cursor);
}

Hdf5SymbolTable read_symbol_table(Hdf5Cursor cursor) {
    Hdf5SymbolTable table;
    table.tree = cursor.number(8);
    table.heap = cursor.number(8);
    expect_padding(cursor);
    return table;
}

// Where the messages of an object stand (IV.A.1.a): behind its header's first bytes, and then wherever a
// message says that they continue.
class Messages {
public:
    using Visit = std::function<void(std::uint64_t type, const Hdf5Cursor& body)>;

    Messages(Hdf5Bytes& file, std::uint64_t address, const Hdf5Cursor& from) : file_(file) {
        Hdf5Cursor header = file_.claim(address, kHeaderBytes, from, "an object header");
        header.expect_number(2, 1, "an object header of version");
        count_ = header.number(2);
        header.expect_number(4, 1, "a count of links to the object of");
        const std::uint64_t bytes = header.number(4);
        blocks_.push_back(file_.claim(address + kHeaderBytes, bytes, header, "messages"));
    }

    void for_each(const Visit& visit) {
        std::uint64_t seen = 0;
        for (std::size_t i = 0; i < blocks_.size(); ++i) {
            Hdf5Cursor block = blocks_[i];
            for (; block.left() > 0; ++seen) {
                const std::uint64_t type = block.number(2);
                const std::uint64_t bytes = block.number(2);
                const std::uint64_t flags = block.number(1);
                if ((flags & kSharedFlag) != 0) block.refuse("a shared message");
                block.expect_number(3, 0, "reserved bytes");
                const Hdf5Cursor body = block.part(bytes);
                if (type == kContinuation)
                    follow(body);
                else if (type != kNil)
                    visit(type, body);
            }
            if (i + 1 == blocks_.size() && seen != count_)
                block.refuse("{} messages in an object header that says {}", seen, count_);
        }
    }

private:
    static constexpr std::uint64_t kHeaderBytes = 16;
    static constexpr std::uint64_t kSharedFlag = 2;

    void follow(Hdf5Cursor body) {
        if (blocks_.size() > kMostContinuations)
            body.refuse("an object header in more than {} pieces", kMostContinuations);
        const std::uint64_t address = body.number(8);
        const std::uint64_t bytes = body.number(8);
        expect_padding(body);
        blocks_.push_back(file_.claim(address, bytes, body, "continued messages"));
    }

    Hdf5Bytes& file_;
    std::uint64_t count_ = 0;
    std::vector<Hdf5Cursor> blocks_;
};

// Takes each of a dataset's messages once.
template <class T>
void set_once(std::optional<T>& to, T value, const Hdf5Cursor& body, std::string_view what) {
    if (to.has_value()) body.refuse("two messages with {} of one object", what);
    to = value;
}

struct Parts {
    std::optional<Shape> shape;
    std::optional<DType> dtype;
    std::optional<bool> fill;
    std::optional<Layout> layout;
    std::optional<Hdf5SymbolTable> table;
    Hdf5Attributes attributes;

    void add(std::uint64_t type, const Hdf5Cursor& body) {
        switch (type) {
            case kDataspace: return set_once(shape, read_dataspace(body), body, "the shape");
            case kDatatype: return set_once(dtype, read_datatype(body), body, "the type");
            case kFillValue: check_fill_value(body); return set_once(fill, true, body, "the fill value");
            case kLayout: return set_once(layout, read_layout(body), body, "the layout");
            case kAttribute: return read_attribute(body, attributes);
            case kSymbolTable: return set_once(table, read_symbol_table(body), body, "the symbol table");
            default: body.refuse("a message of type {}, which Sluice does not write", type);
        }
    }
};

// fp8 is stored as bytes and named by an attribute.
DType named_type(DType stored, const Hdf5Attributes& attributes, std::string_view name,
                 const Hdf5Cursor& from) {
    const auto type = attributes.texts.find(kDTypeAttribute);
    if (type == attributes.texts.end()) return stored;
    if (stored != DType::U8 || type->second != name_of(DType::F8E4M3))
        from.refuse("{}: {} with another type's name as an attribute", name, name_of(stored));
    return DType::F8E4M3;
}

}  // namespace

Hdf5Object read_hdf5_object(Hdf5Bytes& file, std::uint64_t address, std::string_view name,
                            const Hdf5Cursor& from) {
    Parts parts;
    Messages(file, address, from).for_each([&](std::uint64_t type, const Hdf5Cursor& body) {
        parts.add(type, body);
    });
    Hdf5Object object;
    const bool any = parts.shape || parts.dtype || parts.fill || parts.layout;
    const bool all = parts.shape && parts.dtype && parts.fill && parts.layout;
    if (parts.table ? any : !all) from.refuse("{}: neither a group nor a dataset", name);
    object.group = parts.table;
    Hdf5Dataset& dataset = object.dataset;
    dataset.attributes = std::move(parts.attributes);
    if (object.group) return object;

    dataset.dtype = named_type(*parts.dtype, dataset.attributes, name, from);
    dataset.shape = *parts.shape;
    dataset.bytes = static_cast<std::uint64_t>(dataset.shape.elements()) * size_of(dataset.dtype);
    if (parts.layout->bytes != dataset.bytes)
        from.refuse("{}: {} bytes stored, but {} {} has {}", name, parts.layout->bytes,
                    name_of(dataset.dtype), dataset.shape.text(), dataset.bytes);
    if (dataset.bytes == 0) return object;
    if (parts.layout->address == kNoAddress) from.refuse("{}: its values were never written", name);
    dataset.offset = file.claim_values(parts.layout->address, dataset.bytes, name, from);
    return object;
}

void check_superblock_extension(Hdf5Bytes& file, std::uint64_t address, const Hdf5Cursor& from) {
    Messages(file, address, from).for_each([&](std::uint64_t type, Hdf5Cursor body) {
        if (type != kFileSpaceInfo)
            body.refuse("a message of type {} on the whole file, which Sluice does not write", type);
        body.expect_number(1, 1, "a file space message of version");
        body.expect_number(1, 3, "a file space strategy of");  // none: space that gets free is not managed
        body.expect_number(1, 0, "file space persists:");
    });
}

}  // namespace sluice
