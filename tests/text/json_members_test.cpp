#include "text/json_members.hpp"

#include "core/json.hpp"

#include <gtest/gtest.h>

#include <random>

namespace sluice {
namespace {

using Random = std::mt19937;

Json random_json(Random& random, int depth) {
    static const std::vector<std::string> texts{
        "", "a", "\"", "\\", "\\\"", "{", "}]", " , : ", "\xE2\x82\xAC\n\t"};
    switch (random() % (depth > 0 ? 7 : 5)) {
        case 0: return nullptr;
        case 1: return random() % 2 == 0;
        case 2: return static_cast<int>(random() % 2000) - 1000;
        case 3: return static_cast<double>(random() % 1000) / 8.0;
        case 4: return texts[random() % texts.size()];
        case 5: {
            Json list = Json::array();
            for (auto size = random() % 4; size > 0; --size) list.push_back(random_json(random, depth - 1));
            return list;
        }
        default: {
            Json object = Json::object();
            for (auto size = random() % 4; size > 0; --size)
                object[texts[random() % texts.size()]] = random_json(random, depth - 1);
            return object;
        }
    }
}

TEST(JsonMembers, AreThoseOfTheParserInAnyLayout) {
    Random random(1);
    for (int round = 0; round < 20000; ++round) {
        Json object = Json::object();
        for (auto size = random() % 5; size > 0; --size)
            object[std::string(size, 'k')] = random_json(random, 3);
        const std::string text =
            " \r" + object.dump(static_cast<int>(random() % 4) - 1, random() % 2 ? '\t' : ' ') + "\n ";
        Json rebuilt = Json::object();
        for (const JsonMember& member : json_members(text)) {
            ASSERT_FALSE(rebuilt.contains(Json::parse(member.key).get<std::string>())) << text;
            rebuilt[Json::parse(member.key).get<std::string>()] = Json::parse(member.value);
        }
        ASSERT_EQ(rebuilt, object) << text;
        ASSERT_EQ(compact_json(text), object.dump()) << text;
    }
}

TEST(JsonMembers, KeepTheWritingAndRepeatedKeys) {
    const auto members = json_members(R"({ "a":1.50 ,"\u0061" : -0e1,"b":[ 1,"]" ]})");
    ASSERT_EQ(members.size(), 3U);
    EXPECT_EQ(members[0].key, "\"a\"");
    EXPECT_EQ(members[0].value, "1.50");
    EXPECT_EQ(members[1].key, "\"\\u0061\"");
    EXPECT_EQ(members[1].value, "-0e1");
    EXPECT_EQ(members[2].value, "[ 1,\"]\" ]");
    EXPECT_TRUE(json_members("{}").empty());
}

}  // namespace
}  // namespace sluice
