// Notes of finished tensors, by several ranks, with torn and altered lines.
#include "checkpoint/journal.hpp"
#include "support/scratch_folder.hpp"

#include <gtest/gtest.h>

#include <thread>

namespace sluice {
namespace {

FinishedTensor finished(std::size_t tensor, std::uint64_t values) {
    FinishedTensor finished;
    finished.tensor = tensor;
    finished.parts = {{values, 0}, {~std::uint64_t{0}, 2}};
    return finished;
}

std::vector<std::size_t> tensors_of(const std::vector<FinishedTensor>& all) {
    std::vector<std::size_t> tensors;
    for (const FinishedTensor& one : all) tensors.push_back(one.tensor);
    return tensors;
}

class Journals : public testing::Test {
protected:
    void add(int rank, const FinishedTensor& finished) {
        Journal journal(folder_.path(), rank);
        journal.add(finished);
        journal.sync();
    }
    std::vector<std::size_t> noted() const { return tensors_of(read_journals(folder_.path())); }
    // The only file.
    std::filesystem::path file() const { return std::filesystem::directory_iterator(folder_.path())->path(); }
    void put(const std::string& content) const { std::ofstream(file(), std::ios::binary) << content; }

    ScratchFolder folder_;
};

TEST_F(Journals, KeepEveryBit) {
    FinishedTensor one = finished(44'999, 0xfedcba9876543210);
    one.error.largest = 0.1;
    one.error.squared_error = 4.9e-324;
    one.error.squared_value = -1.0 / 3;
    add(3, one);
    const auto all = read_journals(folder_.path());
    ASSERT_EQ(all.size(), 1U);
    EXPECT_EQ(all[0].tensor, 44'999U);
    EXPECT_EQ(all[0].parts, one.parts);
    EXPECT_EQ(all[0].error.largest, 0.1);
    EXPECT_EQ(all[0].error.squared_error, 4.9e-324);
    EXPECT_EQ(all[0].error.squared_value, -1.0 / 3);
}

TEST_F(Journals, OfAllRanksTheLastLineOfATensorCounts) {
    EXPECT_TRUE(noted().empty());
    add(11, finished(7, 1));
    add(0, finished(9, 1));
    add(11, finished(3, 1));
    add(11, finished(7, 2));
    folder_.put("plan.json", "something else");
    const auto all = read_journals(folder_.path());
    EXPECT_EQ(tensors_of(all), (std::vector<std::size_t>{3, 7, 9}));
    EXPECT_EQ(all[1].parts[0].values, 2U);
}

TEST_F(Journals, ATornLineIsLeftOutAndCutOff) {
    for (const std::size_t tensor : {1, 2}) add(0, finished(tensor, 1));
    const std::string whole = content_of(file());
    const std::size_t second = whole.find('\n') + 1;
    for (std::size_t length = whole.size() - 1; length > second; length -= 7) {
        put(whole.substr(0, length));
        EXPECT_EQ(noted(), (std::vector<std::size_t>{1})) << length;
        add(0, finished(3, 1));
        EXPECT_EQ(noted(), (std::vector<std::size_t>{1, 3})) << length;
        EXPECT_EQ(content_of(file()).size(), whole.size());
    }
    put(whole.substr(0, second - 1));
    EXPECT_TRUE(noted().empty());
    add(0, finished(3, 1));
    EXPECT_EQ(noted(), (std::vector<std::size_t>{3}));
}

TEST_F(Journals, AlteredLinesDoNotCount) {
    for (const std::size_t tensor : {1, 2, 3}) add(0, finished(tensor, 1));
    const std::string whole = content_of(file());
    const std::size_t second = whole.find('\n') + 1;
    const std::size_t third = whole.find('\n', second) + 1;
    for (std::size_t at = second; at < third - 1; ++at) {
        for (const int bit : {1, 16}) {
            std::string altered = whole;
            altered[at] = static_cast<char>(altered[at] ^ bit);
            put(altered);
            EXPECT_EQ(noted(), (std::vector<std::size_t>{1, 3})) << at;
        }
    }
    std::string zeros = whole;
    zeros.replace(second, third - second, std::string(third - second, '\0'));
    put(zeros);  // as a power loss leaves it: it takes the next line with it
    EXPECT_EQ(noted(), (std::vector<std::size_t>{1}));
}

TEST_F(Journals, ThreadsMayShareOne) {
    Journal journal(folder_.path(), 0);
    {
        std::vector<std::jthread> threads;
        for (std::size_t t = 0; t < 4; ++t)
            threads.emplace_back([&, t] {
                for (std::size_t i = 0; i < 200; ++i) journal.add(finished(4 * i + t, i));
            });
    }
    const auto all = read_journals(folder_.path());
    ASSERT_EQ(all.size(), 800U);
    for (const FinishedTensor& one : all) EXPECT_EQ(one.parts[0].values, one.tensor / 4);
}

TEST_F(Journals, FoldersThatAreMissingAreTold) {
    expect_error([&] { read_journals(folder_ / "no"); }, ExitCode::File, {"no", "cannot read"});
    expect_error([&] { Journal(folder_ / "no", 0); }, ExitCode::File, {"no/journal-000000", "No such file"});
}

}  // namespace
}  // namespace sluice
