#include "checkpoint/grok_pickle.hpp"

#include "checkpoint/pickle_values.hpp"

#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <utility>

namespace sluice {
namespace {

enum class Opcode : std::uint8_t {
    Mark = '(',
    Stop = '.',
    None = 'N',
    NewTrue = 0x88,
    NewFalse = 0x89,
    BinInt = 'J',
    BinInt1 = 'K',
    BinInt2 = 'M',
    ShortBinUnicode = 0x8c,
    ShortBinBytes = 'C',
    BinBytes = 'B',
    BinBytes8 = 0x8e,
    EmptyTuple = ')',
    Tuple1 = 0x85,
    Tuple2 = 0x86,
    Tuple3 = 0x87,
    Tuple = 't',
    EmptyDict = '}',
    SetItems = 'u',
    StackGlobal = 0x93,
    Reduce = 'R',
    NewObj = 0x81,
    Build = 'b',
    Memoize = 0x94,
    BinPut = 'q',
    LongBinPut = 'r',
    BinGet = 'h',
    LongBinGet = 'j',
    Frame = 0x95,
};

struct NamedGlobal {
    std::string_view module, name;
    PickleGlobal global;
};

constexpr std::array<NamedGlobal, 7> kGlobals{
    {{"numpy.core.multiarray", "_reconstruct", PickleGlobal::Reconstruct},
     {"numpy._core.multiarray", "_reconstruct", PickleGlobal::Reconstruct},  // numpy 2
     {"numpy", "ndarray", PickleGlobal::NdArray},
     {"numpy", "dtype", PickleGlobal::DTypeClass},
     {"ml_dtypes", "bfloat16", PickleGlobal::BFloat16},
     {"__main__", "QuantizedWeight8bit", PickleGlobal::QuantizedWeight},
     {"model", "QuantizedWeight8bit", PickleGlobal::QuantizedWeight}}};  // pickled by another program

// A quantised weight takes about 130. The limit bounds time and memory: no opcode makes more than one value.
constexpr int kMostOpcodes = 1000;

// Pickle's stack machine. What the opcodes do to objects, PickleObjects decides.
class Unpickler {
public:
    Unpickler(std::span<const std::byte> file, const std::string& where) : reader_(file, where) {}

    PickledTensor run();

private:
    void execute(Opcode opcode);

    void push(PickleValue value) { stack_.push_back(value); }
    void push_integer(std::size_t bytes) { push(static_cast<std::int64_t>(reader_.number(bytes))); }
    void push_bytes(std::size_t length_bytes) { push(reader_.bytes(reader_.number(length_bytes))); }
    PickleValue pop();
    std::vector<PickleValue> pop_items(std::size_t count);
    std::vector<PickleValue> pop_to_mark();

    void push_memo(std::uint64_t slot);
    void memoize(std::uint64_t slot);
    void push_global();
    void set_items();
    void reduce();
    void new_object();
    void build();
    PickledTensor result();

    PickleReader reader_;
    PickleObjects objects_{reader_};
    std::vector<PickleValue> stack_;
    std::map<std::uint64_t, PickleValue> memo_;
};

PickledTensor Unpickler::run() {
    for (int count = 0; count < kMostOpcodes; ++count) {
        const auto opcode = static_cast<Opcode>(reader_.next_opcode());
        if (opcode == Opcode::Stop) return result();
        execute(opcode);
    }
    reader_.refuse("more than {} opcodes; a tensor takes about a hundred", kMostOpcodes);
}

void Unpickler::execute(Opcode opcode) {
    switch (opcode) {
        case Opcode::Mark: return push(PickleMark{});
        case Opcode::None: return push(PickleNone{});
        case Opcode::NewTrue: return push(true);
        case Opcode::NewFalse: return push(false);
        case Opcode::BinInt: return push(std::int64_t{static_cast<std::int32_t>(reader_.number(4))});
        case Opcode::BinInt1: return push_integer(1);
        case Opcode::BinInt2: return push_integer(2);
        case Opcode::ShortBinUnicode: return push(reader_.text(reader_.bytes(reader_.number(1))));
        case Opcode::ShortBinBytes: return push_bytes(1);
        case Opcode::BinBytes: return push_bytes(4);
        case Opcode::BinBytes8: return push_bytes(8);
        case Opcode::EmptyTuple: return push(objects_.tuple({}));
        case Opcode::Tuple1: return push(objects_.tuple(pop_items(1)));
        case Opcode::Tuple2: return push(objects_.tuple(pop_items(2)));
        case Opcode::Tuple3: return push(objects_.tuple(pop_items(3)));
        case Opcode::Tuple: return push(objects_.tuple(pop_to_mark()));
        case Opcode::EmptyDict: return push(objects_.dict());
        case Opcode::SetItems: return set_items();
        case Opcode::StackGlobal: return push_global();
        case Opcode::Reduce: return reduce();
        case Opcode::NewObj: return new_object();
        case Opcode::Build: return build();
        case Opcode::Memoize: return memoize(memo_.size());
        case Opcode::BinPut: return memoize(reader_.number(1));
        case Opcode::LongBinPut: return memoize(reader_.number(4));
        case Opcode::BinGet: return push_memo(reader_.number(1));
        case Opcode::LongBinGet: return push_memo(reader_.number(4));
        case Opcode::Frame: return reader_.begin_frame(reader_.number(8));
        case Opcode::Stop: break;  // ends run()
    }
    reader_.refuse("opcode 0x{:02x}, which no tensor of the release needs", static_cast<int>(opcode));
}

PickleValue Unpickler::pop() {
    if (stack_.empty()) reader_.refuse("takes a value from the empty stack");
    const PickleValue value = stack_.back();
    if (std::holds_alternative<PickleMark>(value)) reader_.refuse("takes a value, but finds a mark");
    stack_.pop_back();
    return value;
}

std::vector<PickleValue> Unpickler::pop_items(std::size_t count) {
    std::vector<PickleValue> items(count);
    for (std::size_t i = count; i-- > 0;) items[i] = pop();
    return items;
}

std::vector<PickleValue> Unpickler::pop_to_mark() {
    std::size_t count = 0;
    while (count < stack_.size() && !std::holds_alternative<PickleMark>(stack_[stack_.size() - 1 - count]))
        ++count;
    if (count == stack_.size()) reader_.refuse("no mark on the stack");
    std::vector<PickleValue> items = pop_items(count);
    stack_.pop_back();
    return items;
}

void Unpickler::push_memo(std::uint64_t slot) {
    const auto found = memo_.find(slot);
    if (found == memo_.end()) reader_.refuse("memo slot {} was never written", slot);
    push(found->second);
}

void Unpickler::memoize(std::uint64_t slot) {
    const PickleValue value = pop();
    push(value);
    memo_[slot] = value;
}

void Unpickler::push_global() {
    const auto name = as<std::string_view>(pop(), "a global's name", reader_);
    const auto module = as<std::string_view>(pop(), "a global's module", reader_);
    const auto* const found = std::ranges::find_if(
        kGlobals, [&](const NamedGlobal& known) { return known.module == module && known.name == name; });
    if (found == kGlobals.end()) {
        reader_.refuse("names {} of {}, which no tensor of the release needs; nothing was executed",
                       quoted(name), quoted(module));
    }
    push(found->global);
}

void Unpickler::set_items() {
    const std::vector<PickleValue> items = pop_to_mark();
    const PickleValue dict = pop();
    objects_.set_items(dict, items);
    push(dict);
}

void Unpickler::reduce() {
    const PickleValue arguments = pop();
    push(objects_.call(pop(), arguments));
}

void Unpickler::new_object() {
    const PickleValue arguments = pop();
    push(objects_.make(pop(), arguments));
}

void Unpickler::build() {
    const PickleValue state = pop();
    const PickleValue object = pop();
    objects_.set_state(object, state);
    push(object);
}

PickledTensor Unpickler::result() {
    const PickleValue value = pop();
    if (!stack_.empty()) reader_.refuse("ends with {} values on the stack; expected one", stack_.size() + 1);
    reader_.finish();
    return objects_.tensor(value);
}

}  // namespace

std::string PickledArray::shape_text() const { return fmt::format("[{}]", fmt::join(dims, ", ")); }

PickledTensor parse_pickled_tensor(std::span<const std::byte> file, const std::string& where) {
    return Unpickler(file, where).run();
}

}  // namespace sluice
