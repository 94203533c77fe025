#include "comm/collectives.hpp"

#include "core/log.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <exception>
#include <optional>

namespace sluice {
namespace {

struct Failure {
    ExitCode code;
    std::string message;
};

// An abort passes: the group can no longer agree on anything.
std::optional<Failure> failure_of(std::string_view phase, const std::function<void()>& work) {
    try {
        work();
    } catch (const Aborted&) {
        throw;
    } catch (const Error& error) {
        return Failure{error.code(), error.what()};
    } catch (const std::exception& error) {
        return Failure{ExitCode::Internal, fmt::format("{}: {}", phase, error.what())};
    }
    return std::nullopt;
}

}  // namespace

// The first bytes travel with the count, so that few need one call.
void broadcast_bytes(Communicator& comm, std::vector<std::byte>& bytes, int root) {
    struct {
        std::uint64_t count = 0;
        std::array<std::byte, 4088> bytes{};
    } head;
    const bool sends = comm.rank() == root;
    head.count = bytes.size();
    std::size_t first = std::min(bytes.size(), head.bytes.size());
    if (sends) std::copy_n(bytes.begin(), first, head.bytes.begin());
    comm.broadcast(std::as_writable_bytes(std::span(&head, 1)), root);
    bytes.resize(head.count);
    first = std::min(bytes.size(), head.bytes.size());
    if (!sends) std::copy_n(head.bytes.begin(), first, bytes.begin());
    const std::span<std::byte> rest = std::span(bytes).subspan(first);
    if (!rest.empty()) comm.broadcast(rest, root);
}

std::vector<std::string> gather_strings(Communicator& comm, std::string_view mine) {
    const auto lengths = gather_values<std::uint64_t>(comm, mine.size());
    const std::uint64_t longest = std::ranges::max(lengths);
    std::string padded(mine);
    padded.resize(longest);
    std::string all(longest * lengths.size(), '\0');
    if (longest > 0)
        comm.all_gather(std::as_bytes(std::span(padded)), std::as_writable_bytes(std::span(all)));
    std::vector<std::string> strings;
    for (std::size_t rank = 0; rank < lengths.size(); ++rank)
        strings.push_back(all.substr(rank * longest, lengths[rank]));
    return strings;
}

void run_together(Communicator& comm, std::string_view phase, const std::function<void()>& work) {
    const std::optional<Failure> failure = failure_of(phase, work);
    const std::int32_t mine = failure ? static_cast<std::int32_t>(failure->code) : 0;
    const auto codes = gather_values(comm, mine);
    const auto first = std::ranges::find_if(codes, [](std::int32_t code) { return code != 0; });
    if (first == codes.end()) return;

    const auto messages = gather_strings(comm, failure ? failure->message : "");
    const auto rank = static_cast<std::size_t>(first - codes.begin());
    const bool everywhere =
        std::ranges::all_of(messages, [&](const std::string& each) { return each == messages[rank]; });
    throw AgreedError(
        static_cast<ExitCode>(*first),
        everywhere ? messages[rank] : fmt::format("rank {} of {}: {}", rank, comm.size(), messages[rank]));
}

int run_job(Communicator& world, const std::function<ExitCode()>& job) {
    std::string message;
    ExitCode code = ExitCode::Internal;
    try {
        return static_cast<int>(job());
    } catch (const AgreedError& error) {
        if (world.rank() == 0) log_line(LogLevel::Error, error.what());
        return static_cast<int>(error.code());
    } catch (const Error& error) {
        code = error.code();
        message = error.what();
    } catch (const std::exception& error) {
        message = error.what();
    }
    if (world.size() == 1) {
        log_line(LogLevel::Error, message);
        return static_cast<int>(code);
    }
    log_line(LogLevel::Error, fmt::format("rank {} of {}: {}", world.rank(), world.size(), message));
    world.abort(static_cast<int>(code));
}

}  // namespace sluice
