#include "text/sampling_json.hpp"

#include "core/json.hpp"
#include "text/line_refusal.hpp"
#include "text/request_members.hpp"

#include <fmt/ranges.h>

#include <algorithm>
#include <array>
#include <cfloat>
#include <climits>
#include <cmath>

namespace sluice {
namespace {

// Each takes a value of the right JSON type, and says whether it was one.
bool read(const Json& value, int& out) {
    if (!value.is_number_integer()) return false;
    if (value.is_number_unsigned() && value.get<std::uint64_t>() > INT_MAX) return false;
    const auto number = value.get<std::int64_t>();
    if (number < INT_MIN) return false;
    out = static_cast<int>(number);
    return true;
}

bool read(const Json& value, float& out) {
    if (!value.is_number() || std::abs(value.get<double>()) > FLT_MAX) return false;
    out = static_cast<float>(value.get<double>());
    return true;
}

bool read(const Json& value, std::uint64_t& out) {
    if (!value.is_number_unsigned()) return false;
    out = value.get<std::uint64_t>();
    return true;
}

bool read(const Json& value, std::vector<std::string>& out) {
    const auto is_string = [](const Json& item) { return item.is_string(); };
    if (value.is_string())
        out = {value.get<std::string>()};
    else if (value.is_array() && std::all_of(value.begin(), value.end(), is_string))
        out = value.get<std::vector<std::string>>();
    else
        return false;
    return true;
}

bool read(const Json& value, bool& out) {
    if (!value.is_boolean()) return false;
    out = value.get<bool>();
    return true;
}

template <auto Member>
bool read_member(const Json& value, Sampling& out) {
    return read(value, out.*Member);
}

template <auto Member>
std::string show_member(const Sampling& sampling) {
    return fmt::format("{}", sampling.*Member);
}

struct Option {
    std::string_view name;
    std::string_view wants;
    bool (*fits)(const Sampling&);
    bool (*read)(const Json& value, Sampling& out);
    std::string (*show)(const Sampling&);
};

template <auto Member>
constexpr Option option(std::string_view name, std::string_view wants, bool (*fits)(const Sampling&)) {
    return {name, wants, fits, read_member<Member>, show_member<Member>};
}

bool fits_always(const Sampling&) { return true; }

bool has_no_empty_stop(const Sampling& s) {
    return std::none_of(s.stop.begin(), s.stop.end(), [](const std::string& stop) { return stop.empty(); });
}

constexpr std::array kOptions{
    option<&Sampling::max_new_tokens>("max_new_tokens", "a whole number from 1 to 2147483647",
                                      [](const Sampling& s) { return s.max_new_tokens >= 1; }),
    option<&Sampling::temperature>(
        "temperature", "a number, 0 (greedy) or more",
        [](const Sampling& s) { return std::isfinite(s.temperature) && s.temperature >= 0; }),
    option<&Sampling::top_k>("top_k", "a whole number from 0 (off) to 2147483647",
                             [](const Sampling& s) { return s.top_k >= 0; }),
    option<&Sampling::top_p>("top_p", "a number above 0, up to 1 (off)",
                             [](const Sampling& s) { return s.top_p > 0 && s.top_p <= 1; }),
    option<&Sampling::min_p>("min_p", "a number from 0 (off) to 1",
                             [](const Sampling& s) { return s.min_p >= 0 && s.min_p <= 1; }),
    option<&Sampling::repetition_penalty>(
        "repetition_penalty", "a number above 0; 1 is off",
        [](const Sampling& s) { return std::isfinite(s.repetition_penalty) && s.repetition_penalty > 0; }),
    option<&Sampling::seed>("seed", "a whole number from 0 to 18446744073709551615", fits_always),
    option<&Sampling::stop>("stop", "a string or a list of strings, none of them empty", has_no_empty_stop),
    option<&Sampling::ignore_eos>("ignore_eos", "true or false", fits_always),
    option<&Sampling::logprobs>(
        "logprobs", "a whole number from 0 (off) to 20",
        [](const Sampling& s) { return s.logprobs >= 0 && s.logprobs <= kMostLogprobs; }),
    option<&Sampling::n>("n", "a whole number from 1 to 1024",
                         [](const Sampling& s) { return s.n >= 1 && s.n <= kMostCompletions; }),
};

}  // namespace

std::vector<std::string_view> sampling_names() {
    std::vector<std::string_view> names;
    for (const Option& option : kOptions) names.push_back(option.name);
    return names;
}

void read_option(const Json& value, std::string_view name, std::string_view called, Sampling& out) {
    const auto option =
        std::find_if(kOptions.begin(), kOptions.end(), [&](const Option& o) { return o.name == name; });
    if (!option->read(value, out) || !option->fits(out))
        refuse("bad_option", "{} is {}: expected {}", called, shown(value), option->wants);
}

std::optional<RequestError> check(const Sampling& sampling) {
    for (const Option& option : kOptions) {
        if (!option.fits(sampling))
            return RequestError{"bad_option", fmt::format("{} is {}: expected {}", option.name,
                                                          option.show(sampling), option.wants)};
    }
    return std::nullopt;
}

}  // namespace sluice
