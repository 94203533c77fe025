#include "comm/heartbeat_star.hpp"

#include "comm/collectives.hpp"
#include "comm/placement.hpp"
#include "comm/siphash.hpp"

#include <fmt/ranges.h>

#include <fcntl.h>
#include <ifaddrs.h>
#include <net/if.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sys/socket.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <memory>
#include <random>
#include <span>
#include <sstream>

namespace sluice {
namespace {

using Clock = std::chrono::steady_clock;
using Kind = HeartbeatMessage::Kind;

// Rank 0 waits so much longer than the others try.
constexpr double kLonger = 1.2;

// Until `seconds` after its making.
class Deadline {
public:
    explicit Deadline(double seconds) : end_(Clock::now() + std::chrono::duration<double>(seconds)) {}
    double seconds_left() const { return std::chrono::duration<double>(end_ - Clock::now()).count(); }
    bool is_over() const { return seconds_left() <= 0; }

private:
    std::chrono::time_point<Clock, std::chrono::duration<double>> end_;
};

// Strangers may call, and a machine's private address may be a stranger's elsewhere. So both sides prove with
// the nonce that the other has sent that they know the job's key, and nobody is shown the key itself. This
// keeps out other jobs and programs, and who listens where a rank calls; not who can change what passes
// between the ranks.
std::uint64_t proof_of(const SipKey& key, std::uint64_t nonce, int rank) {
    return siphash(key, std::array{nonce, static_cast<std::uint64_t>(rank)});
}

std::uint64_t random_word() {
    std::random_device random;
    return std::uint64_t{random()} << 32U | random();
}

// Where rank 0 listens: "PORT KEY KEY ADDRESS ADDRESS ...".
struct Place {
    int port = 0;
    SipKey key{};
    std::vector<std::string> addresses;
};

std::string text_of(const Place& place) {
    std::string text = fmt::format("{} {} {}", place.port, place.key[0], place.key[1]);
    for (const std::string& address : place.addresses) text += " " + address;
    return text;
}

Place place_from(const std::string& text) {
    std::istringstream words(text);
    Place place;
    words >> place.port >> place.key[0] >> place.key[1];
    for (std::string word; words >> word;) place.addresses.push_back(word);
    return place;
}

// IPv6 takes IPv4 as well; some machines have it switched off.
HeartbeatLink listen_anywhere(int& port) {
    for (const int family : {AF_INET6, AF_INET}) {
        const int fd = ::socket(family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
        if (fd < 0) continue;
        HeartbeatLink listener(fd);
        const int no = 0;
        if (family == AF_INET6) ::setsockopt(fd, IPPROTO_IPV6, IPV6_V6ONLY, &no, sizeof no);
        if (::listen(fd, SOMAXCONN) != 0) continue;  // unbound: at a port that the system chooses
        sockaddr_storage at{};
        socklen_t length = sizeof at;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&at), &length) != 0) continue;
        port = ntohs(family == AF_INET6 ? reinterpret_cast<const sockaddr_in6&>(at).sin6_port
                                        : reinterpret_cast<const sockaddr_in&>(at).sin_port);
        return listener;
    }
    return HeartbeatLink();
}

// Of this machine, loopback last: it serves where a machine has no network.
std::vector<std::string> own_addresses() {
    std::vector<std::string> outer;
    std::vector<std::string> loopback;
    ifaddrs* first = nullptr;
    if (::getifaddrs(&first) != 0) return {"127.0.0.1"};
    const std::unique_ptr<ifaddrs, void (*)(ifaddrs*)> owner(first, ::freeifaddrs);
    for (const ifaddrs* each = first; each != nullptr; each = each->ifa_next) {
        if (each->ifa_addr == nullptr || (each->ifa_flags & IFF_UP) == 0) continue;
        const int family = each->ifa_addr->sa_family;
        if (family != AF_INET && family != AF_INET6) continue;
        const auto* six = reinterpret_cast<const sockaddr_in6*>(each->ifa_addr);
        if (family == AF_INET6 && IN6_IS_ADDR_LINKLOCAL(&six->sin6_addr))
            continue;  // means another elsewhere
        std::array<char, NI_MAXHOST> name{};
        const socklen_t length = family == AF_INET ? sizeof(sockaddr_in) : sizeof(sockaddr_in6);
        if (::getnameinfo(each->ifa_addr, length, name.data(), name.size(), nullptr, 0, NI_NUMERICHOST) == 0)
            ((each->ifa_flags & IFF_LOOPBACK) != 0 ? loopback : outer).emplace_back(name.data());
    }
    outer.insert(outer.end(), loopback.begin(), loopback.end());
    return outer;
}

void send_at_once(int fd) {
    const int yes = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
}

// Begins a connection to this address; closed if there is no way.
HeartbeatLink call(const std::string& address, int port) {
    addrinfo hints{};
    hints.ai_flags = AI_NUMERICHOST | AI_NUMERICSERV;
    hints.ai_socktype = SOCK_STREAM;
    addrinfo* found = nullptr;
    if (::getaddrinfo(address.c_str(), std::to_string(port).c_str(), &hints, &found) != 0)
        return HeartbeatLink();
    const std::unique_ptr<addrinfo, void (*)(addrinfo*)> owner(found, ::freeaddrinfo);
    HeartbeatLink link(::socket(found->ai_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
    if (!link.is_open()) return link;
    send_at_once(link.socket());
    const bool begun =
        ::connect(link.socket(), found->ai_addr, found->ai_addrlen) == 0 || errno == EINPROGRESS;
    return begun ? std::move(link) : HeartbeatLink();
}

// Calls all addresses at once and keeps the first where rank 0 is; closed if there is none.
HeartbeatLink call_first(const Place& place, int rank, double patience) {
    std::vector<HeartbeatLink> calls;
    for (const std::string& address : place.addresses) calls.push_back(call(address, place.port));
    const std::uint64_t nonce = random_word();
    const auto say = [&](HeartbeatLink& call, Kind kind, std::uint64_t theirs) {
        call.send({kind, rank, nonce, proof_of(place.key, theirs, rank), {}});
    };
    const Deadline deadline(patience);
    while (std::ranges::any_of(calls, &HeartbeatLink::is_open) && !deadline.is_over()) {
        wait_for_any(calls, -1, deadline.seconds_left());
        for (HeartbeatLink& call : calls) {
            const auto message = call.receive();
            if (!message) continue;
            if (message->kind == Kind::Greeting) {
                say(call, Kind::Hello, message->nonce);
            } else if (message->kind == Kind::Welcome && message->proof == proof_of(place.key, nonce, 0)) {
                say(call, Kind::Chosen, message->nonce);
                return std::move(call);
            } else {
                call.close();
            }
        }
    }
    return HeartbeatLink();
}

// One link for each rank: of several that it calls by, the one that it has chosen.
std::vector<HeartbeatLink> answer_all(HeartbeatLink& listener, const SipKey& key, int size, double patience) {
    std::vector<HeartbeatLink> links(static_cast<std::size_t>(size));
    std::vector<HeartbeatLink> callers;
    const std::uint64_t nonce = random_word();
    const Deadline deadline(kLonger * patience);
    for (int missing = size - 1; listener.is_open() && missing > 0 && !deadline.is_over();) {
        wait_for_any(callers, listener.socket(), deadline.seconds_left());
        for (;;) {
            const int fd = ::accept4(listener.socket(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK);
            if (fd < 0) break;
            send_at_once(fd);
            callers.emplace_back(fd).send({Kind::Greeting, 0, nonce, 0, {}});
        }
        for (HeartbeatLink& caller : callers) {
            const auto message = caller.receive();
            if (!message) continue;
            const bool ours = message->rank > 0 && message->rank < size &&
                              message->proof == proof_of(key, nonce, message->rank);
            if (ours && message->kind == Kind::Hello) {
                caller.send({Kind::Welcome, 0, nonce, proof_of(key, message->nonce, 0), {}});
                continue;
            }
            HeartbeatLink& link = links[static_cast<std::size_t>(ours ? message->rank : 0)];
            if (ours && message->kind == Kind::Chosen && !link.is_open()) {
                link = std::move(caller);
                --missing;
            }
            caller.close();
        }
        std::erase_if(callers, [](const HeartbeatLink& caller) { return !caller.is_open(); });
    }
    return links;
}

std::string problem_of_caller(const Place& place, int rank) {
    return fmt::format("rank {} (host {}) cannot reach rank 0 at TCP port {} of {}", rank, host_name(),
                       place.port, fmt::join(place.addresses, " "));
}

std::string problem_of_first(std::span<const HeartbeatLink> links) {
    for (std::size_t rank = 1; rank < links.size(); ++rank)
        if (!links[rank].is_open()) return fmt::format("rank {} has not reached rank 0", rank);
    return "";
}

}  // namespace

std::vector<HeartbeatLink> connect_star(Communicator& world, double patience, std::string& problem) {
    Place place;
    HeartbeatLink listener;
    std::vector<std::byte> bytes;
    if (world.rank() == 0) {
        listener = listen_anywhere(place.port);
        place.key = {random_word(), random_word()};
        place.addresses = own_addresses();
        const std::string text = text_of(place);
        const auto chars = std::as_bytes(std::span(text));
        bytes.assign(chars.begin(), chars.end());
    }
    broadcast_bytes(world, bytes, 0);
    place = place_from({reinterpret_cast<const char*>(bytes.data()), bytes.size()});

    std::vector<HeartbeatLink> links;
    if (world.rank() == 0) {
        links = answer_all(listener, place.key, world.size(), patience);
        problem = problem_of_first(links);
    } else {
        links.push_back(call_first(place, world.rank(), patience));
        if (!links[0].is_open()) problem = problem_of_caller(place, world.rank());
    }
    std::vector<std::string> problems = gather_strings(world, problem);
    std::ranges::rotate(problems, problems.begin() + 1);  // rank 0's last: the others know more
    const auto first = std::ranges::find_if_not(problems, &std::string::empty);
    if (first == problems.end()) return links;
    problem = *first;
    return {};
}

}  // namespace sluice
