// What our own reader of HDF5 finds, against what the library finds; and all that it refuses.
#include "checkpoint/hdf5_index.hpp"

#include "checkpoint/hdf5_handle.hpp"
#include "checkpoint/hdf5_image.hpp"
#include "support/scratch_folder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>

#include <algorithm>
#include <random>

namespace sluice {
namespace {

using testing::ElementsAre;
using testing::IsEmpty;

Hdf5Index parse(std::string_view content) {
    return Hdf5Index::read(std::as_bytes(std::span(content)), content.size(), "file.h5");
}

std::vector<std::int64_t> dims_of(const Shape& shape) {
    std::vector<std::int64_t> dims;
    for (int axis = 0; axis < shape.rank(); ++axis) dims.push_back(shape[axis]);
    return dims;
}

// What the library says of the same file.
class Library {
public:
    explicit Library(const std::filesystem::path& path) : file_(h5::open_to_read(path)) {}

    std::vector<std::string> datasets() const {
        std::vector<std::string> names;
        H5Ovisit(file_.get(), H5_INDEX_NAME, H5_ITER_INC, add_dataset, &names);
        return names;
    }

    void compare(const std::string& name, const Hdf5Dataset& found) const {
        const h5::Handle dataset = h5::open_dataset(file_.get(), name);
        const h5::Handle type(H5Dget_type(dataset.get()), H5Tclose);
        const h5::Handle space(H5Dget_space(dataset.get()), H5Sclose);
        std::vector<hsize_t> dims(static_cast<std::size_t>(H5Sget_simple_extent_ndims(space.get())));
        H5Sget_simple_extent_dims(space.get(), dims.data(), nullptr);
        EXPECT_THAT(dims_of(found.shape), testing::ElementsAreArray(dims));
        EXPECT_EQ(H5Tget_size(type.get()), size_of(found.dtype));
        EXPECT_EQ(H5Dget_storage_size(dataset.get()), found.bytes);
        EXPECT_EQ(found.bytes > 0 ? H5Dget_offset(dataset.get()) : 0, found.offset);
        compare(dataset.get(), found.attributes);
    }

    void compare(const Hdf5Attributes& found) const { compare(file_.get(), found); }

private:
    static void compare(hid_t object, const Hdf5Attributes& found) {
        Hdf5Attributes attributes;
        H5Aiterate2(object, H5_INDEX_NAME, H5_ITER_INC, nullptr, add_attribute, &attributes);
        EXPECT_EQ(attributes.texts, found.texts);
        EXPECT_EQ(attributes.numbers, found.numbers);
    }

    static herr_t add_dataset(hid_t, const char* name, const H5O_info_t* info, void* names) {
        if (info->type == H5O_TYPE_DATASET)
            static_cast<std::vector<std::string>*>(names)->push_back(fmt::format("/{}", name));
        return 0;
    }

    static herr_t add_attribute(hid_t object, const char* name, const H5A_info_t*, void* attributes) {
        auto& [texts, numbers] = *static_cast<Hdf5Attributes*>(attributes);
        const h5::Handle attribute(H5Aopen(object, name, H5P_DEFAULT), H5Aclose);
        const h5::Handle type(H5Aget_type(attribute.get()), H5Tclose);
        if (H5Tget_class(type.get()) == H5T_INTEGER)
            return H5Aread(attribute.get(), H5T_NATIVE_INT, &numbers[name]);
        std::string text(H5Tget_size(type.get()), '?');
        const herr_t status = H5Aread(attribute.get(), type.get(), text.data());
        texts[name] = text.c_str();
        return status;
    }

    h5::Handle file_;
};

class Hdf5IndexTest : public testing::Test {
protected:
    std::string file(const test::Hdf5Image& image) const {
        test::write_hdf5(folder_ / "file.h5", image);
        return content_of(folder_ / "file.h5");
    }

    // The metadata alone must tell as much as the whole file.
    void expect_agreement(const test::Hdf5Image& image) const {
        const std::string content = file(image);
        const Hdf5Index index = parse(content);
        const auto lock = h5::hdf5_lock();
        const Library library(folder_ / "file.h5");
        const std::vector<std::string> names = library.datasets();
        EXPECT_EQ(names.size(), image.datasets.size());
        EXPECT_EQ(names.size(), index.datasets().size());
        library.compare(index.attributes());
        std::uint64_t end = content.size();
        for (const test::DatasetImage& made : image.datasets) {
            SCOPED_TRACE(made.name);
            const Hdf5Dataset* found = index.find(made.name);
            ASSERT_NE(found, nullptr);
            EXPECT_EQ(found->dtype, made.dtype);
            library.compare(made.name, *found);
            if (found->bytes > 0) end = std::min(end, found->offset);
        }
        const Hdf5Index again =
            Hdf5Index::read(std::as_bytes(std::span(content)).first(end), content.size(), "file.h5");
        EXPECT_EQ(again.datasets().size(), names.size());
    }

    void refused(const std::string& content, std::initializer_list<std::string_view> parts) const {
        expect_error([&] { parse(content); }, ExitCode::Checkpoint, parts);
        expect_error([&] { parse(content); }, ExitCode::Checkpoint,
                     {"file.h5: byte ", "not written by Sluice: shard the model again"});
    }

    ScratchFolder folder_;
};

TEST_F(Hdf5IndexTest, AgreesWithTheLibrary) {
    for (const std::uint64_t user_block : {0, 4096}) {
        test::Hdf5Image image = test::small_hdf5();
        image.user_block = user_block;
        expect_agreement(image);
    }
}

TEST_F(Hdf5IndexTest, AgreesOnAFileWithoutDatasets) {
    test::Hdf5Image image = test::small_hdf5();
    image.datasets.clear();
    expect_agreement(image);
}

TEST_F(Hdf5IndexTest, AgreesOnThousandsInOneGroupWrittenInAnyOrder) {
    test::Hdf5Image image;
    for (int i = 0; i < 3000; ++i)
        image.datasets.push_back({fmt::format("/layers/{}", i), DType::U8, {1 + i % 3}, {}});
    std::shuffle(image.datasets.begin(), image.datasets.end(), std::mt19937(7));
    expect_agreement(image);
}

TEST_F(Hdf5IndexTest, AgreesOnManyGroups) {
    test::Hdf5Image image;
    for (int layer = 0; layer < 12; ++layer)
        for (int expert = 0; expert < 48; ++expert)
            for (const char* name : {"gate", "up", "down"})
                image.datasets.push_back(
                    {fmt::format("/layers/{}/experts/{}/{}", layer, expert, name), DType::BF16, {2}, {}});
    expect_agreement(image);
}

TEST_F(Hdf5IndexTest, FindsByNameAndListsGroups) {
    test::Hdf5Image image = test::small_hdf5();
    image.datasets.push_back({"/layers/10.scale", DType::F32, {1}, {}});
    const Hdf5Index index = parse(file(image));
    ASSERT_NE(index.find("/layers/10/ids"), nullptr);
    EXPECT_EQ(index.find("/layers/10/ids")->dtype, DType::I32);
    for (const char* none :
         {"", "/", "/layers", "/layers/10", "/layers/10/ids/", "layers/10/ids", "/layers/10/id"})
        EXPECT_EQ(index.find(none), nullptr) << none;
    EXPECT_THAT(index.names_in("/"), ElementsAre("files", "layers", "norm"));
    EXPECT_THAT(index.names_in("/layers"), ElementsAre("0", "10", "10.scale"));
    EXPECT_THAT(index.names_in("/layers/10"), ElementsAre("experts", "ids", "nothing", "one"));
    EXPECT_THAT(index.names_in("/layers/1"), IsEmpty());
    EXPECT_THAT(index.names_in("/norm"), IsEmpty());
    EXPECT_EQ(index.attributes().texts.at("tool"), "a test");
    EXPECT_EQ(index.attributes().numbers.at("slice"), -1);
}

// What the library can write and Sluice does not.
TEST_F(Hdf5IndexTest, RefusesWhatSluiceDoesNotWrite) {
    struct Foreign {
        const char* reason;
        std::function<void(hid_t)> make;
    };
    const auto dataset = [](hid_t type, const std::function<void(hid_t)>& set, hsize_t most = 8) {
        return [=](hid_t file) {
            const hsize_t size = 8;
            const h5::Handle space(H5Screate_simple(1, &size, &most), H5Sclose);
            const h5::Handle creation(H5Pcreate(H5P_DATASET_CREATE), H5Pclose);
            H5Pset_obj_track_times(creation.get(), 0);
            H5Pset_fill_time(creation.get(), H5D_FILL_TIME_NEVER);
            set(creation.get());
            const h5::Handle made(
                H5Dcreate2(file, "foreign", type, space.get(), H5P_DEFAULT, creation.get(), H5P_DEFAULT),
                H5Dclose);
            ASSERT_TRUE(made.valid());
        };
    };
    const auto attribute = [](hid_t type, int rank) {
        return [=](hid_t file) {
            const hsize_t size = 2;
            const h5::Handle space(H5Screate_simple(rank, &size, nullptr), H5Sclose);
            const h5::Handle made(H5Acreate2(file, "foreign", type, space.get(), H5P_DEFAULT, H5P_DEFAULT),
                                  H5Aclose);
            ASSERT_TRUE(made.valid());
        };
    };
    const auto nothing = [](hid_t) {};
    const auto chunks = [](hid_t p) {
        const hsize_t size = 4;
        H5Pset_chunk(p, 1, &size);
    };
    const auto lock = h5::hdf5_lock();
    const h5::Handle variable(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_size(variable.get(), H5T_VARIABLE);
    const h5::Handle unicode(H5Tcopy(H5T_C_S1), H5Tclose);
    H5Tset_cset(unicode.get(), H5T_CSET_UTF8);
    const std::vector<Foreign> all{
        {"space is allocated at time 3", dataset(H5T_IEEE_F32LE, chunks)},
        {"values stored in chunks", dataset(H5T_IEEE_F32LE,
                                            [&](hid_t p) {
                                                chunks(p);
                                                H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
                                            })},
        {"values stored in the header",
         dataset(H5T_IEEE_F32LE, [](hid_t p) { H5Pset_layout(p, H5D_COMPACT); })},
        {"message of type 11",  // filters
         dataset(H5T_IEEE_F32LE,
                 [&](hid_t p) {
                     chunks(p);
                     H5Pset_alloc_time(p, H5D_ALLOC_TIME_EARLY);
                     H5Pset_deflate(p, 1);
                 })},
        {"message of type 18", dataset(H5T_IEEE_F32LE, [](hid_t p) { H5Pset_obj_track_times(p, 1); })},
        {"message of type 7",  // values in other files
         dataset(H5T_IEEE_F32LE, [](hid_t p) { H5Pset_external(p, "/etc/passwd", 0, 32); })},
        {"fill values are written at time",
         dataset(H5T_IEEE_F32LE, [](hid_t p) { H5Pset_fill_time(p, H5D_FILL_TIME_IFSET); })},
        {"an extensible dimension", dataset(H5T_IEEE_F32LE, chunks, H5S_UNLIMITED)},
        {"elements of a type", dataset(H5T_IEEE_F32BE, nothing)},
        {"elements of a type", dataset(H5T_IEEE_F64LE, nothing)},
        {"elements of a type", dataset(H5T_STD_U32LE, nothing)},
        {"elements of a type", dataset(H5T_STD_REF_OBJ, nothing)},
        {"elements of a type",
         dataset(variable.get(), [](hid_t p) { H5Pset_fill_time(p, H5D_FILL_TIME_IFSET); })},
        {"/foreign: its values were never written", dataset(H5T_IEEE_F32LE, nothing)},
        {"neither text of a fixed length nor an int32", attribute(H5T_IEEE_F32LE, 0)},
        {"neither text of a fixed length nor an int32", attribute(H5T_STD_I64LE, 0)},
        {"neither text of a fixed length nor an int32", attribute(variable.get(), 0)},
        {"neither text of a fixed length nor an int32", attribute(unicode.get(), 0)},
        {"an attribute's dataspace", attribute(H5T_STD_I32LE, 1)},
        {"entry of kind 2",
         [](hid_t file) { H5Lcreate_soft("/norm", file, "foreign", H5P_DEFAULT, H5P_DEFAULT); }},
        {"links to the object of 2",
         [](hid_t file) { H5Lcreate_hard(file, "norm", file, "foreign", H5P_DEFAULT, H5P_DEFAULT); }},
        {"message of type",  // a group of the newer kind
         [](hid_t file) { H5Lcreate_external("other.h5", "x", file, "foreign", H5P_DEFAULT, H5P_DEFAULT); }},
        {"/foreign is empty",
         [](hid_t file) {
             h5::Handle(H5Gcreate2(file, "foreign", H5P_DEFAULT, H5P_DEFAULT, H5P_DEFAULT), H5Gclose);
         }},
        {"group /layers has attributes",
         [](hid_t file) {
             const h5::Handle group(H5Gopen2(file, "layers", H5P_DEFAULT), H5Gclose);
             h5::set_attribute(group.get(), "foreign", 1);
         }},
        {"/norm: float32 with another type's name",
         [](hid_t file) {
             h5::set_attribute(h5::open_dataset(file, "norm").get(), "dtype", std::string("float8_e4m3fn"));
         }},
        {"more than 32 attributes",
         [](hid_t file) {
             for (int i = 0; i < 33; ++i) h5::set_attribute(file, fmt::format("a{}", i).c_str(), i);
         }},
    };
    for (const Foreign& foreign : all) {
        SCOPED_TRACE(foreign.reason);
        test::Hdf5Image image = test::small_hdf5();
        image.also = foreign.make;
        refused(file(image), {foreign.reason});
    }
}

// As other programs make them.
TEST_F(Hdf5IndexTest, RefusesOtherKindsOfFiles) {
    const auto made = [&](H5F_libver_t version) {
        const auto lock = h5::hdf5_lock();
        const h5::Handle access(H5Pcreate(H5P_FILE_ACCESS), H5Pclose);
        H5Pset_libver_bounds(access.get(), version, H5F_LIBVER_LATEST);
        h5::Handle(H5Fcreate((folder_ / "other.h5").c_str(), H5F_ACC_TRUNC, H5P_DEFAULT, access.get()),
                   H5Fclose);
        return content_of(folder_ / "other.h5");
    };
    refused(made(H5F_LIBVER_EARLIEST), {"a superblock of version 0; Sluice writes 2"});
    refused(made(H5F_LIBVER_V110), {"a superblock of version 3; Sluice writes 2"});
    refused(made(H5F_LIBVER_V18), {"a superblock without an extension"});
    refused("", {"the superblock of 48 bytes at address 0, but the metadata ends at 0"});
    refused(std::string(10000, '\0'), {"byte 4096: expected HDF5's signature"});
}

TEST_F(Hdf5IndexTest, RefusesNamesThatAreTooLongOrTooDeep) {
    const auto with = [&](const std::string& name) {
        return file({{{name, DType::U8, {1}, {}}}, {}, 4096, {}});
    };
    EXPECT_NE(parse(with("/" + std::string(254, 'x'))).find("/" + std::string(254, 'x')), nullptr);
    refused(with("/" + std::string(255, 'x')), {"a name of more than 255 bytes"});
    refused(with("/" + std::string(256, 'x')), {"a name of more than 255 bytes"});
    refused(with("/" + std::string(200, 'x') + "/" + std::string(60, 'x')),
            {"a name of more than 255 bytes"});
    EXPECT_NE(parse(with("/1/2/3/4/5/6/7/x")).find("/1/2/3/4/5/6/7/x"), nullptr);
    refused(with("/1/2/3/4/5/6/7/8/x"), {"groups in groups, more than 8 deep"});
    refused(with("/a\nb"), {"an unusable name"});
}

TEST_F(Hdf5IndexTest, RefusesTruncatedFilesAndMetadata) {
    const std::string content = file(test::small_hdf5());
    const Hdf5Index index = parse(content);
    std::uint64_t end = content.size();
    for (const auto& [name, dataset] : index.datasets())
        if (dataset.bytes > 0) end = std::min(end, dataset.offset);
    for (std::size_t i = 0; i < 50; ++i) {
        refused(content.substr(0, content.size() * i / 50), {"byte "});
        const std::string metadata = content.substr(0, 4096 + (end - 4096 - 512) * i / 50);
        expect_error([&] { Hdf5Index::read(std::as_bytes(std::span(metadata)), content.size(), "file.h5"); },
                     ExitCode::Checkpoint, {"file.h5: byte "});
    }
    refused(content.substr(0, content.size() - 1),
            {fmt::format("the file should have {} bytes, but has {}: it is cut short", content.size(),
                         content.size() - 1)});
}

// A byte of the metadata that is altered may go unnoticed here (the metadata have a checksum), but never
// leads outside the file.
TEST_F(Hdf5IndexTest, AlteredBytesNeverLeadOutsideTheFile) {
    const std::string content = file(test::small_hdf5());
    std::mt19937 random(3);
    int refusals = 0;
    for (int i = 0; i < 20'000; ++i) {
        std::string altered = content;
        for (std::size_t count = 1 + random() % 4; count-- > 0;)
            altered[4096 + random() % (altered.size() - 4096)] = static_cast<char>(random());
        try {
            const Hdf5Index index = parse(altered);
            for (const auto& [name, dataset] : index.datasets())
                ASSERT_TRUE(dataset.offset <= altered.size() &&
                            dataset.bytes <= altered.size() - dataset.offset);
        } catch (const Error& error) {
            ASSERT_EQ(error.code(), ExitCode::Checkpoint) << error.what();
            ++refusals;
        }
    }
    EXPECT_GT(refusals, 1000);
}

}  // namespace
}  // namespace sluice
