#include "comm/heartbeat.hpp"

#include "comm/collectives.hpp"
#include "comm/heartbeat_star.hpp"
#include "comm/heartbeat_verdict.hpp"
#include "comm/placement.hpp"
#include "core/log.hpp"

#include <pthread.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <csignal>
#include <exception>
#include <limits>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace sluice {
namespace {

using Kind = HeartbeatMessage::Kind;

double now_seconds() {
    return std::chrono::duration<double>(std::chrono::steady_clock::now().time_since_epoch()).count();
}

// Seconds in which the ranks must have connected.
constexpr double kPatience = 10;
// Seconds for the last message to pass, and for the rank that knows best to speak first.
constexpr double kEndingAnswer = 0.2;
constexpr double kVerdictDelay = 0.1;
// Seconds after which a connection is not torn because a rank died: that would be known.
constexpr double kTornByDeath = 1;
// Within this a launcher ends the others, when one process has ended with an error.
constexpr double kLauncherTime = 3;

void sleep_for(double seconds) { std::this_thread::sleep_for(std::chrono::duration<double>(seconds)); }

// Signals are the main thread's: they wake what it waits in.
std::thread thread_without_signals(const std::function<void()>& work) {
    sigset_t all;
    sigset_t before;
    sigfillset(&all);
    pthread_sigmask(SIG_SETMASK, &all, &before);
    std::thread thread(work);
    pthread_sigmask(SIG_SETMASK, &before, nullptr);
    return thread;
}

}  // namespace

// A thread that speaks and listens. It needs no memory of the main thread but the notes in rank_state, so it
// works whatever that is stuck in.
class Heartbeat::Watch {
public:
    Watch(const Communicator& world, std::vector<HeartbeatLink> links, const std::vector<std::string>& who,
          double limit)
        : rank_(world.rank()),
          size_(world.size()),
          limit_(limit),
          links_(std::move(links)),
          news_(links_.size()),
          waker_(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK)) {
        for (std::size_t peer = 0; peer < news_.size(); ++peer) {
            news_[peer].who = who[peer];
            news_[peer].heard = news_[peer].since = now_seconds();
        }
        thread_ = thread_without_signals([this] { run(); });
    }
    Watch(const Watch&) = delete;
    Watch& operator=(const Watch&) = delete;
    ~Watch() {
        last_word_ = std::uncaught_exceptions() == 0 ? Kind::Goodbye : Kind::Ending;
        leaving_.store(true, std::memory_order_release);
        eventfd_write(waker_, 1);
        thread_.join();
        ::close(waker_);
    }

private:
    bool leads() const { return rank_ == 0; }

    void run() {
        const double interval = std::min(1.0, limit_ / 4);
        double before = news_.front().since;  // not now: this thread may have begun after a standstill
        for (double next = before;;) {
            wait_for_any(links_, waker_, next - now_seconds());
            const double now = now_seconds();
            if (now - before > limit_ / 2) forgive(now);
            before = now;
            if (leaving_.load(std::memory_order_acquire)) return say_last_word();
            if (!listen(now)) return;
            if (now >= next) {
                say(Kind::Report);
                next = now + interval;
            }
            if (!judge(now) || !judge_transport(now)) return;
        }
    }

    // This process itself stood still, maybe with all the others, as when a scheduler suspends a job.
    void forgive(double now) {
        note_progress();
        for (RankNews& news : news_) news.heard = news.since = now;
        resumed_ = now;
    }

    void say(Kind kind) {
        const HeartbeatMessage message{kind, rank_, 0, 0, report_of(rank_state())};
        for (HeartbeatLink& link : links_) link.send(message);
    }

    void say_last_word() {
        if (last_word_ == Kind::Ending)
            say_ending();
        else
            say(last_word_);
    }

    // Before an end with an error: until rank 0 knows of it, and with it all others.
    void say_ending() {
        say(Kind::Ending);
        if (leads()) return;
        const double end = now_seconds() + kEndingAnswer;
        for (double now = now_seconds(); now < end && listen(now); now = now_seconds())
            wait_for_any(links_, -1, end - now);
    }

    // Whether there is anything left to watch.
    bool listen(double now) {
        for (std::size_t peer = 0; peer < links_.size(); ++peer) {
            RankNews& news = news_[peer];
            const bool linked = links_[peer].is_open();
            while (const auto message = links_[peer].receive()) {
                take_report(news, message->report, now);
                switch (message->kind) {
                    case Kind::Goodbye:
                        if (!leads()) return false;
                        news.link = RankNews::Link::Left;
                        break;
                    case Kind::Ending:
                        if (leads()) say(Kind::Ending);
                        return false;
                    case Kind::End:
                        if (ends_itself_within(kVerdictDelay)) return false;
                        ::_exit(static_cast<int>(ExitCode::Internal));
                    default: break;
                }
            }
            if (linked && !links_[peer].is_open() && news.link == RankNews::Link::Up)
                news.link = RankNews::Link::Lost;
        }
        return true;
    }

    // Whether there is anything left to watch.
    bool judge(double now) {
        if (leads()) {
            take_report(news_[0], report_of(rank_state()), now);
            if (const auto found = verdict(news_, now, limit_)) return end(*found, 0, now);
        } else if (const auto loss = loss_of(news_[0], 0, size_, now, limit_)) {
            return end(*loss, delay_of_news(), now);
        }
        return true;
    }

    // Likewise. A rank that dies tears connections, and is what the others should hear of: so not at once.
    bool judge_transport(double now) {
        const std::string problem = transport_problem();
        if (problem.empty()) {
            broken_ = 0;
            return true;
        }
        if (broken_ == 0) broken_ = now;
        if (now - broken_ < kTornByDeath) return true;
        if (ends_itself_within(kVerdictDelay)) return false;
        say_ending();
        log_line(LogLevel::Error, problem);
        ::_exit(static_cast<int>(ExitCode::Internal));
    }

    // Rank 0 is lost, and every rank sees it. Rank 1 says so; the others only if that does not end them.
    double delay_of_news() const {
        return rank_ == 1 ? 0 : kLauncherTime + std::min(kVerdictDelay * rank_, kLauncherTime);
    }

    // The main thread may hold any lock, so nothing is cleaned up: finished lines are in their file already.
    // The others are told before the log, which may be what is stuck. Returns false, and only if this rank
    // ends itself.
    bool end(const std::string& message, double delay, double judged) {
        if (leads()) say(Kind::End);
        // Whom this process misses may have judged it, while it stood still, and said so. It may have stood
        // still even since it looked at the clock.
        const double now = now_seconds();
        if (now - resumed_ < kLauncherTime || now - judged > limit_ / 2) delay = kLauncherTime;
        if (ends_itself_within(delay)) return false;
        log_line(LogLevel::Error, message);
        ::_exit(static_cast<int>(ExitCode::Internal));
    }

    // Waits so long, unless an error of this rank's own ends it before: then that has the last word, with its
    // message and exit code.
    bool ends_itself_within(double seconds) const {
        const double end = now_seconds() + seconds;
        wait_for_any({}, waker_, seconds);
        if (leaving_.load(std::memory_order_acquire) && last_word_ == Kind::Ending) return true;
        sleep_for(end - now_seconds());
        return false;
    }

    int rank_;
    int size_;
    double limit_;
    std::vector<HeartbeatLink> links_;  // by the peer's rank: all but 0 on rank 0, else only 0
    std::vector<RankNews> news_;        // likewise, and rank 0's own on rank 0
    int waker_;
    double resumed_ = 0;  // the end of the last standstill
    double broken_ = 0;   // since when a transport has a problem; 0: none has
    Kind last_word_ = Kind::Goodbye;
    std::atomic<bool> leaving_ = false;
    std::thread thread_;
};

Heartbeat::Heartbeat(Communicator& world, std::chrono::seconds limit) {
    if (world.size() == 1) return;
    // Without connections and a limit: then only transports are asked.
    const auto size = static_cast<std::size_t>(world.size());
    std::vector<HeartbeatLink> links(world.rank() == 0 ? size : 1);
    std::vector<std::string> who(size);
    double seconds = std::numeric_limits<double>::infinity();
    if (limit.count() > 0) {
        who = gather_strings(world, fmt::format("host {}, pid {}", host_name(), ::getpid()));
        std::string problem;
        auto connected = connect_star(world, kPatience, problem);
        if (problem.empty()) {
            links = std::move(connected);
            seconds = std::chrono::duration<double>(limit).count();
        } else if (world.rank() == 0) {
            log_warning("no heartbeat, so a rank that hangs goes unnoticed: {}", problem);
        }
    }
    watch_ = std::make_unique<Watch>(world, std::move(links), who, seconds);
}

Heartbeat::~Heartbeat() = default;

}  // namespace sluice
