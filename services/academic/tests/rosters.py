"""Small OneRoster 1.1 files, each of a district of its own."""

import io
import zipfile

from shared.ids import new_id

DISTRICT = {
    "districts": 1,
    "schools": 5,
    "school_years": 1,
    "terms": 2,
    "grading_periods": 0,
    "courses": 50,
    "classes": 100,
    "students": 1000,
    "teachers": 50,
    "enrolments": 4204,
}
"""What `demo/district-5-schools.zip` holds."""

Files = dict[str, str]


def a_roster(*, students: int = 6) -> Files:
    """One district, one term; at the first of two schools two classes with a teacher each, and students in both."""
    district = str(new_id())
    people = [(f"student-{number}", "student") for number in range(students)]
    people += [("teacher-0", "teacher"), ("teacher-1", "teacher")]
    enrolments = [
        (f"{person}-{class_}", f"class-{class_}", person, role)
        for person, role in people
        for class_ in (0, 1)
        if role == "student" or person.endswith(str(class_))
    ]
    return {
        "manifest.csv": "propertyName,value\nmanifest.version,1.0\noneroster.version,1.1\n"
        + "".join(
            f"file.{name},bulk\n" for name in ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")
        ),
        "orgs.csv": "sourcedId,status,dateLastModified,name,type,identifier,parentSourcedId\n"
        f"{district},,,Riverside,district,R,\nschool-1,,,North School,school,N,{district}\n"
        f"school-2,,,South School,school,S,{district}\n",
        "academicSessions.csv": "sourcedId,title,type,startDate,endDate,parentSourcedId,schoolYear\n"
        "year,2026/27,schoolYear,2026-08-01,2027-08-01,,2027\n"
        "term,Autumn,term,2026-08-01,2027-01-01,year,2027\n",
        "courses.csv": "sourcedId,status,dateLastModified,title,courseCode,orgSourcedId\n"
        f"course,,,Art,ART,{district}\n",
        "classes.csv": "sourcedId,title,courseSourcedId,classType,location,schoolSourcedId,termSourcedIds,periods\n"
        + "".join(f"class-{number},Art {number},course,scheduled,,school-1,term,{number + 1}\n" for number in (0, 1)),
        "users.csv": "sourcedId,status,enabledUser,orgSourcedIds,role,username,givenName,familyName,email,grades\n"
        + "".join(f"{person},,true,school-1,{role},x,{person.title()},Ash,,\n" for person, role in people),
        "enrollments.csv": "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate\n"
        + "".join(f"{key},{class_},school-1,{person},{role},,,\n" for key, class_, person, role in enrolments),
    }


def without_rows(files: Files, prefix: str, *, keep: int) -> Files:
    """Without the students from number `keep` on, and without what names them."""

    def stays(line: str) -> bool:
        named = [cell for cell in line.split(",") if cell.startswith(prefix)]
        return all(int(cell.removeprefix(prefix).split("-")[0]) < keep for cell in named)

    return {name: "".join(line for line in text.splitlines(True) if stays(line)) for name, text in files.items()}


def district_file(roster: Files | None = None) -> bytes:
    """The zip of a roster; of a new one unless told."""
    files = roster or a_roster()
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, text in files.items():
            archive.writestr(name, text)
    return packed.getvalue()
