// Expected texts in data/chat_template_cases.json were written by Jinja2 3.1.6 with trim_blocks and
// lstrip_blocks.
#include "text/chat_template.hpp"

#include "core/error.hpp"
#include "tokenizer_files.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

namespace sluice {
namespace {

using testing::HasSubstr;

std::vector<Message> messages_of(const Json& list) {
    std::vector<Message> messages;
    for (const Json& message : list) messages.push_back({message["role"], message["content"]});
    return messages;
}

std::string rendered(const std::string& source, const std::vector<Message>& messages = {}) {
    return ChatTemplate(source).render(messages, false, "<s>", "</s>");
}

std::string parse_error(const std::string& source) {
    try {
        const ChatTemplate parsed(source);
    } catch (const Error& error) {
        EXPECT_EQ(error.code(), ExitCode::Checkpoint);
        return error.what();
    }
    ADD_FAILURE() << "accepted: " << source;
    return {};
}

std::string refusal_of(const std::string& source) {
    try {
        return "accepted: " + rendered(source);
    } catch (const TemplateRefusal& refusal) {
        return refusal.what();
    }
}

TEST(ChatTemplate, AgreesWithJinja) {
    const Json cases = text_cases("chat_template_cases.json");
    ASSERT_FALSE(cases.empty());
    for (const Json& item : cases) {
        SCOPED_TRACE(item["name"].get<std::string>() + " " + item["messages"].dump());
        const ChatTemplate chat(item["template"].get<std::string>());
        const std::vector<Message> messages = messages_of(item["messages"]);
        const auto render = [&] {
            return chat.render(messages, item["add_generation_prompt"], "<s>", "</s>");
        };
        if (item.contains("text")) {
            EXPECT_EQ(render(), item["text"].get<std::string>());
        } else if (item.contains("raised")) {
            try {
                render();
                ADD_FAILURE() << "not refused";
            } catch (const TemplateRefusal& refusal) {
                EXPECT_EQ(refusal.what(), item["raised"].get<std::string>());
            }
        } else {
            EXPECT_THROW(render(), TemplateRefusal);
        }
    }
}

TEST(ChatTemplate, RendersTheModelsOwn) {
    const auto chat = chat_template_of(read_tokenizer_files(test_model()));
    ASSERT_TRUE(chat.has_value());
    const std::vector<Message> messages = {
        {"system", "Be brief."}, {"user", "Hi"}, {"assistant", "Yo"}, {"user", "Bye"}};
    EXPECT_EQ(chat->render(messages, true, "<B>", "<E>"),
              "<B>Be brief.<｜User｜>Hi<｜Assistant｜>Yo<｜end▁of▁sentence｜><｜User｜>Bye<｜Assistant｜>");
    EXPECT_EQ(chat->render(std::span(messages).first(2), false, "<B>", "<E>"), "<B>Be brief.<｜User｜>Hi");
}

TEST(ChatTemplate, IsFoundWhereModelsKeepIt) {
    const auto text_of = [](const Json& config, const char* jinja) {
        TokenizerFiles files;
        files.files["tokenizer_config.json"] = config.dump();
        if (jinja != nullptr) files.files["chat_template.jinja"] = jinja;
        const auto chat = chat_template_of(files);
        return chat ? chat->render({}, false, "", "") : "none";
    };
    EXPECT_EQ(text_of({{"chat_template", "plain"}}, nullptr), "plain");
    EXPECT_EQ(text_of({{"chat_template", "plain"}}, "file"), "file");
    EXPECT_EQ(text_of({{"chat_template", nullptr}}, nullptr), "none");
    EXPECT_EQ(text_of(Json::object(), nullptr), "none");
    const Json list = {{{"name", "tool_use"}, {"template", "tools"}},
                       {{"name", "default"}, {"template", "usual"}}};
    EXPECT_EQ(text_of({{"chat_template", list}}, nullptr), "usual");
    EXPECT_THROW(text_of({{"chat_template", Json::array()}}, nullptr), Error);
    EXPECT_THROW(text_of({{"chat_template", 3}}, nullptr), Error);
    EXPECT_FALSE(chat_template_of({}).has_value());
}

TEST(ChatTemplate, RefusesOtherConstructsByNameAndPlace) {
    EXPECT_THAT(parse_error("a\n {% include 'b' %}"), HasSubstr("line 2, column 5: the tag \"include\""));
    EXPECT_THAT(parse_error("{{ 2 ** 3 }}"), HasSubstr("the operator **"));
    EXPECT_THAT(parse_error("{{ f(*x) }}"), HasSubstr("unpacking"));
    EXPECT_THAT(parse_error("{% for x in y recursive %}{% endfor %}"), HasSubstr("recursive"));
    EXPECT_THAT(parse_error("{% break %}"), HasSubstr("line 1, column 4: \"break\" outside of a loop"));
    EXPECT_THAT(parse_error("{% for x in y %}{% macro m() %}{% continue %}{% endmacro %}{% endfor %}"),
                HasSubstr("\"continue\" outside of a loop"));
}

// Templates name what only conversations with tools need: that is no reason to refuse the others.
TEST(ChatTemplate, RefusesWhatItCannotEvaluateOnlyWhereItIsReached) {
    EXPECT_EQ(refusal_of("a\n {{ 'x' | sort }}"),
              "chat template, line 2, column 11: the filter sort is not supported");
    EXPECT_EQ(refusal_of("{{ 'x' is prime }}"),
              "chat template, line 1, column 11: the test prime is not supported");
    EXPECT_EQ(refusal_of("{{ 'x'.__class__() }}"),
              "chat template, line 1, column 4: the method __class__ is not supported");
    EXPECT_THAT(refusal_of("{{ 'a' + 1 }}"),
                HasSubstr("column 4: the operator + does not work on str and int"));
    EXPECT_THAT(refusal_of("{% set x = none.a.b %}"), HasSubstr("'a' is undefined"));
    EXPECT_EQ(rendered("{% if tools %}{{ tools | sort is prime }}{{ tools.__class__() }}{% endif %}ok"),
              "ok");
}

// A prompt must not depend on the day.
TEST(ChatTemplate, KnowsNoDate) {
    EXPECT_EQ(rendered("{{ strftime_now('%d') if strftime_now is defined else 'undated' }}"), "undated");
    EXPECT_THAT(refusal_of("{{ strftime_now('%d %b %Y') }}"), HasSubstr("strftime_now is not supported"));
}

TEST(ChatTemplate, EndlessAndHugeEvaluationsAreRefused) {
    for (const char* source :
         {"{{ 'a' * 9223372036854775807 }}", "{{ [[]] * 1000000000 }}", "{{ range(1000000000000) | length }}",
          "{% for i in range(100000) %}{% for j in range(100000) %}{% endfor %}{% endfor %}",
          "{% set n = namespace(x='a') %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
          "{% set n = namespace(x=[1]) %}{% for i in range(60) %}{% set n.x = n.x + n.x %}{% endfor %}",
          "{% set n = namespace(x=[1]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}{% endfor %}"
          "{{ n.x | tojson }}",
          "{% set n = namespace(x=[1], y=[1]) %}{% for i in range(90) %}{% set n.x = [n.x, n.x] %}"
          "{% set n.y = [n.y, n.y] %}{% endfor %}{{ n.x == n.y }}",
          "{% set l = ['a' * 9000000] %}{% for i in range(1000000) %}{% for x in l %}{% endfor %}{% endfor "
          "%}",
          "{% set a = 'a' * 9000000 %}{% set b = a[:4000000] + 'b' %}{{ b in a }}",
          "{% set a = 'a' * 9000000 %}{{ a.replace('', a) }}",
          "{% set a = 'a' * 900000 %}{{ a | list | join(a) }}",
          "{% macro m(n) %}{% if n %}{{ m(n - 1) ~ m(n - 1) }}{% endif %}{% endmacro %}{{ m(60) }}"}) {
        EXPECT_THAT(refusal_of(source), HasSubstr("far more work")) << source;
    }
    EXPECT_THAT(refusal_of("{% macro m() %}{{ m() }}{% endmacro %}{{ m() }}"), HasSubstr("500 levels"));
    EXPECT_THAT(
        refusal_of("{% set n = namespace(x=[]) %}{% for i in range(200) %}{% set n.x = [n.x] %}{% endfor %}"),
        HasSubstr("nested deeper than 100"));
    EXPECT_EQ(rendered("{% set n = namespace() %}{% set n.n = n %}{{ n.n.n == n }}"), "True");
}

// The allowance grows with the conversation.
TEST(ChatTemplate, LongConversationsAreNoReasonToRefuse) {
    const std::string source =
        "{% for m in messages %}{% if messages[loop.index0 - 1] != m and "
        "loop.index0 < messages | length %}{{ m.content | trim ~ eos_token }}{% endif %}{% endfor %}";
    std::vector<Message> messages;
    for (int i = 0; i < 20'000; ++i) messages.push_back({i % 2 == 0 ? "user" : "assistant", "x"});
    EXPECT_EQ(rendered(source, messages).size(), 20'000U * 5);
    EXPECT_EQ(rendered(source, {{"user", ""}, {"user", std::string(std::size_t{20} << 20U, 'x')}}).size(),
              (std::size_t{20} << 20U) + 8);
}

TEST(ChatTemplate, APromptEndsWhereTheAssistantIsToSpeak) {
    const ChatTemplate chat(
        "{% for m in messages %}{{ '<' + m.role + '>' + m.content + '.' }}{% endfor %}"
        "{% if add_generation_prompt %}<assistant>{% endif %}");
    EXPECT_EQ(chat.prompt(std::vector<Message>{{"user", "a"}}, "", ""), "<user>a.<assistant>");
    EXPECT_EQ(chat.prompt(std::vector<Message>{{"user", "a"}, {"assistant", "b. "}}, "", ""),
              "<user>a.<assistant>b. ");
    const ChatTemplate trims("{% for m in messages %}{{ m.content | trim + '.' }}{% endfor %}");
    EXPECT_EQ(trims.prompt(std::vector<Message>{{"user", "a"}, {"assistant", " b \n"}}, "", ""), "a.b");
    // Its end is there, its beginning is not.
    const ChatTemplate splits("{% for m in messages %}{{ m.content.split('|')[-1] }}{% endfor %}");
    EXPECT_EQ(splits.prompt(std::vector<Message>{{"user", "a|b"}, {"assistant", "c"}}, "", ""), "bc");
    EXPECT_THROW(splits.prompt(std::vector<Message>{{"user", "a"}, {"assistant", "b|c"}}, "", ""),
                 TemplateRefusal);
    const ChatTemplate forgets("{% for m in messages %}{{ m.content[:9] }}{% endfor %}");
    EXPECT_THROW(forgets.prompt(std::vector<Message>{{"user", "a"}, {"assistant", "b"}}, "", ""),
                 TemplateRefusal);
}

TEST(ChatTemplate, RefusesBrokenTemplates) {
    for (const char* source : {"{{",
                               "{{ a",
                               "{% if x %}",
                               "{% endif %}",
                               "{% if x %}{% endfor %}",
                               "{# x",
                               "{{ 'a }}",
                               "{{ }}",
                               "{{ a b }}",
                               "{{ (a }}",
                               "{% for in x %}{% endfor %}",
                               "{% set 1 = 2 %}",
                               "{{ a. }}",
                               "{{ a[] }}",
                               "{{ 1x }}",
                               "{{ ? }}",
                               "{{ '\\ud800' }}",
                               "{{ 99999999999999999999 }}",
                               "{% if a %}{% else %}{% else %}{% endif %}",
                               "{{ f(a=1, 2) }}",
                               "{{ a is b is c }}",
                               "{% raw %}",
                               "{% set x %}",
                               "{% macro m(1) %}{% endmacro %}",
                               "{% macro m() %}",
                               "{% generation %}"}) {
        parse_error(source);
    }
}

TEST(ChatTemplate, DeepNestingIsRefusedNotACrash) {
    const auto repeat = [](const std::string& text, int count) {
        std::string all;
        for (int i = 0; i < count; ++i) all += text;
        return all;
    };
    parse_error("{{ " + repeat("(", 100'000) + " }}");
    parse_error("{{ " + repeat("-", 100'000) + "1 }}");
    parse_error("{{ " + repeat("not ", 100'000) + "1 }}");
    parse_error("{{ 1" + repeat("+1", 100'000) + " }}");
    parse_error("{{ a" + repeat(".a", 100'000) + " }}");
    parse_error("{{ " + repeat("a if b else ", 100'000) + "c }}");
    parse_error(repeat("{% if x %}", 100'000));
    EXPECT_EQ(rendered("{{ 1" + repeat("+1", 400) + " }}"), "401");
    EXPECT_EQ(rendered("{{ " + repeat("(", 20) + "7" + repeat(")", 20) + " }}"), "7");
}

TEST(ChatTemplate, UnknownNamesAreUndefined) {
    EXPECT_EQ(rendered("{{ nothing }}|{% if nothing %}a{% else %}b{% endif %}|{{ nothing is defined }}"),
              "|b|False");
    EXPECT_EQ(rendered("{% if f is defined %}{{ f(1) }}{% endif %}ok"), "ok");
    EXPECT_THROW(rendered("{{ f(1) }}"), TemplateRefusal);
}

TEST(ChatTemplate, ValuesItCannotWriteAreRefused) {
    EXPECT_THROW(rendered("{{ [1] }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ 1 // 0 }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ 9223372036854775807 + 1 }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ '\\u00e9' | upper }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ 'a'[::0] }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ 'a'.split('') }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{{ 'a' | trim('a', 'b') }}"), TemplateRefusal);
    EXPECT_THROW(rendered("{% set x = 1 %}{% set x.a = 2 %}"), TemplateRefusal);
    EXPECT_EQ(rendered("{{ 'abc'[::9223372036854775807] }}"), "a");
    EXPECT_EQ(rendered("{{ 'abc'[-9223372036854775807:] }}"), "abc");
}

}  // namespace
}  // namespace sluice
