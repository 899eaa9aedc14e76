"""A small district whose term is now, with people of its own."""

import io
import zipfile
from datetime import date, timedelta

TEACHER = "tess.teacher@school.example"
SECOND_TEACHER = "ted.teacher@school.example"
WEST_TEACHER = "wes.teacher@school.example"
STUDENT = "ada.ash@school.example"
SCHOOLS = ("North School", "South School", "West School")
WEST_CLASSES = {
    "Art": ("Hal", "Ivy"),
    "Music": ("Jo", "Kim"),
    "Drama": ("Max",),
    "Chess": ("Nick",),
    "Dance": ("Nick",),
}
"""Of the third school, in the order of their periods, with their students: each promise has people of its own."""
WEST_STUDENTS = sorted({name for names in WEST_CLASSES.values() for name in names})


def district_zip(today: date) -> bytes:
    """Three schools, each with a teacher: at two a class meets in periods 1 and 2, at the third one in each period."""
    first, last = today - timedelta(days=30), today + timedelta(days=30)
    files = {
        "manifest.csv": ["propertyName,value", "manifest.version,1.0", "oneroster.version,1.1"]
        + [f"file.{name},bulk" for name in ("academicSessions", "classes", "courses", "enrollments", "orgs", "users")],
        "orgs.csv": [
            "sourcedId,name,type,identifier,parentSourcedId",
            "district,Riverside,district,,",
            f"north,{SCHOOLS[0]},school,,district",
            f"south,{SCHOOLS[1]},school,,district",
            f"west,{SCHOOLS[2]},school,,district",
        ],
        "academicSessions.csv": [
            "sourcedId,title,type,startDate,endDate,parentSourcedId,schoolYear",
            f"year,This year,schoolYear,{first},{last},,{last.year}",
            f"term,This term,term,{first},{last},year,{last.year}",
        ],
        "courses.csv": ["sourcedId,title,courseCode,orgSourcedId", "maths,Maths,M,district"],
        "classes.csv": [
            "sourcedId,title,courseSourcedId,classType,location,schoolSourcedId,termSourcedIds,periods",
            'north-maths,Maths North,maths,scheduled,Room 1,north,term,"1,2"',
            'south-maths,Maths South,maths,scheduled,Room 1,south,term,"1,2"',
            *(
                f"{name.lower()}-maths,{name} West,maths,scheduled,Room 1,west,term,{period}"
                for period, name in enumerate(WEST_CLASSES, start=1)
            ),
        ],
        "users.csv": [
            "sourcedId,enabledUser,orgSourcedIds,role,username,givenName,familyName,email",
            f"tess,true,north,teacher,x,Tess,Teacher,{TEACHER}",
            f"ted,true,south,teacher,x,Ted,Teacher,{SECOND_TEACHER}",
            f"ada,true,north,student,x,Ada,Ash,{STUDENT}",
            "ben,true,north,student,x,Ben,Ash,",
            "cy,true,north,student,x,Cy,Cole,",
            "fay,true,north,student,x,Fay,Ash,",
            "gus,true,north,student,x,Gus,Ash,",
            "dot,true,south,student,x,Dot,Ash,",
            "eve,true,south,student,x,Eve,Elm,",
            f"wes,true,west,teacher,x,Wes,Teacher,{WEST_TEACHER}",
            *(f"{name.lower()},true,west,student,x,{name},West," for name in WEST_STUDENTS),
        ],
        "enrollments.csv": [
            "sourcedId,classSourcedId,schoolSourcedId,userSourcedId,role,primary,beginDate,endDate",
            *(
                f"{person}-maths,{school}-maths,{school},{person},{role},,,"
                for school, person, role in (
                    ("north", "tess", "teacher"),
                    ("south", "ted", "teacher"),
                    ("north", "ada", "student"),
                    ("north", "ben", "student"),
                    ("north", "cy", "student"),
                    ("north", "fay", "student"),
                    ("north", "gus", "student"),
                    ("south", "dot", "student"),
                    ("south", "eve", "student"),
                )
            ),
            *(
                f"{person.lower()}-{name.lower()},{name.lower()}-maths,west,{person.lower()},{role},,,"
                for name, students in WEST_CLASSES.items()
                for person, role in (("Wes", "teacher"), *((student, "student") for student in students))
            ),
        ],
    }
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w") as archive:
        for name, lines in files.items():
            archive.writestr(name, "\n".join(lines) + "\n")
    return packed.getvalue()


COLUMNS = "student_sourced_id,given_name,family_name,guardian_email,relation,receives_alerts"
GUARDIAN = "gil.ash@family.example"
"""Of Ada, Ben, Fay and Gus in the north and of Dot in the south."""
QUIET_GUARDIAN = "quinn.ash@family.example"
"""Of Ada too, and wants no alerts."""
HANA, IRA, JOAN, MONA = (f"{name}@family.example" for name in ("hana", "ira", "joan", "mona"))
GUARDIANS = {
    SCHOOLS[0]: f"""{COLUMNS}
ada,Gil,Ash,{GUARDIAN},parent,yes
ben,Gil,Ash,{GUARDIAN},parent,yes
fay,Gil,Ash,{GUARDIAN},parent,yes
gus,Gil,Ash,{GUARDIAN},parent,yes
ada,Quinn,Ash,{QUIET_GUARDIAN},parent,no
cy,Tess,Teacher,{TEACHER},mother,yes
""",
    SCHOOLS[1]: f"{COLUMNS}\ndot,Gil,Ash,{GUARDIAN},parent,yes\n",
    SCHOOLS[2]: f"""{COLUMNS}
hal,Hana,West,{HANA},mother,yes
ivy,Hana,West,{HANA},mother,yes
ivy,Ira,West,{IRA},father,yes
jo,Joan,West,{JOAN},mother,yes
kim,Joan,West,{JOAN},mother,yes
max,Mona,West,{MONA},mother,yes
""",
}
"""Tess teaches Cy, and is Cy's mother: a login with two roles."""
