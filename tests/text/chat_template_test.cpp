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
    EXPECT_THAT(parse_error("a\n {% macro m() %}{% endmacro %}"),
                HasSubstr("line 2, column 5: the tag \"macro\""));
    EXPECT_THAT(parse_error("{{ x | sort }}"), HasSubstr("line 1, column 8: the filter sort"));
    EXPECT_THAT(parse_error("{{ x is prime }}"), HasSubstr("the test prime"));
    EXPECT_THAT(parse_error("{{ x.__class__() }}"), HasSubstr("the method __class__"));
    EXPECT_THAT(parse_error("{{ 2 ** 3 }}"), HasSubstr("the operator **"));
    EXPECT_THAT(parse_error("{{ f(*x) }}"), HasSubstr("unpacking"));
    EXPECT_THAT(parse_error("{% set x %}a{% endset %}"), HasSubstr("set block"));
    EXPECT_THAT(parse_error("{% for x in y recursive %}{% endfor %}"), HasSubstr("recursive"));
    EXPECT_THAT(parse_error("{% raw %}{% endraw %}"), HasSubstr("\"raw\""));
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
                               "{{ f(a=1, 2) }}"}) {
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
